package upgrade

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// TestWriteOldLedger wrote ledger.gz and sent.jsonl.gz. It is of use only on the code
// of the program whose ledger is wanted: written by a newer one, the ledger would
// prove nothing. It was run on commit 4602f85, with this folder added:
//
//	UPDATE_UPGRADE_LEDGER=1 go test -count 1 -run TestWriteOldLedger ./tests/upgrade
//
// Leads may be added to leads.jsonl in the same way: check that commit out, put this
// folder there, run the command, and bring testdata back.
func TestWriteOldLedger(t *testing.T) {
	if os.Getenv("UPDATE_UPGRADE_LEDGER") == "" {
		t.Skip("only the program before an upgrade may write the ledger: see the comment")
	}
	leads := readLeads(t)
	api := startAPI(t, "01d0")
	path := filepath.Join(t.TempDir(), "ledger.db")
	var lines bytes.Buffer
	cut := map[string][]string{} // references by bucket
	for _, p := range plays(leads) {
		s := startStream(t, p, api, path)
		for _, n := range p.leads {
			api.failNext(leads[n-1].Fails)
			s.deliver(numbered{n, leads[n-1].text}) // alone, so that a failure is the lead's own
		}
		api.failNext(0)
		s.stop()
		numbers := map[string]string{}
		for _, call := range api.placed() {
			numbers[call.id] = call.number
		}
		for _, n := range p.leads {
			f := s.fates[n]
			line := sent{Config: p.name, Lead: n, Outcome: f.outcome, Reason: f.reason, Number: numbers[f.callID], Ref: f.ref, CallID: f.callID}
			if leads[n-1].Cut {
				cut[p.name] = append(cut[p.name], f.ref)
			}
			if line.Outcome == "accepted" {
				line.Outcome = ""
			}
			b, err := json.Marshal(line)
			require.NoError(t, err)
			lines.Write(append(b, '\n'))
		}
	}
	pack(t, sentFile, lines.Bytes())
	cutFirst(t, path, cut)
	packLedger(t, path)
}

// cutFirst makes the ledger what a kill leaves that comes between the two records of a
// call that a later attempt brought: the attempt's own record has the call, and the
// first one is still the claim. Only this order of events cannot be had from outside.
func cutFirst(t *testing.T, path string, refs map[string][]string) {
	t.Helper()
	const header = 17 // of a record, before its JSON
	db, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *bbolt.Tx) error {
		for bucket, refs := range refs {
			records := tx.Bucket([]byte(bucket)).Bucket([]byte("records"))
			for _, ref := range refs {
				stored := records.Get([]byte(ref))
				require.NotNil(t, records.Get([]byte(ref+"/2")), "there was a later attempt")
				require.Greater(t, len(stored), header)
				var first map[string]any
				require.NoError(t, json.Unmarshal(stored[header:], &first))
				require.Equal(t, "called", first["state"])
				first["state"] = "claimed"
				delete(first, "call_id")
				claim, err := json.Marshal(first)
				require.NoError(t, err)
				require.NoError(t, records.Put([]byte(ref), append(bytes.Clone(stored[:header]), claim...)))
			}
		}
		return nil
	}))
	require.NoError(t, db.Close())
}

// packLedger writes a bbolt file to testdata, without its free pages.
func packLedger(t *testing.T, path string) {
	t.Helper()
	written, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	small, err := bbolt.Open(path+".small", 0o600, &bbolt.Options{NoFreelistSync: true})
	require.NoError(t, err)
	require.NoError(t, bbolt.Compact(small, written, 0))
	require.NoError(t, written.Close())
	require.NoError(t, small.Close())
	plain, err := os.ReadFile(path + ".small")
	require.NoError(t, err)
	pack(t, ledgerFile, plain)
}
