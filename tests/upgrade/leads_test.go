package upgrade

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	sentFile   = "testdata/sent.jsonl.gz"
	ledgerFile = "testdata/ledger.gz"
)

// leadGroup is a line of leads.jsonl. A lead is known by its place in the file,
// counted over all lines from 1.
type leadGroup struct {
	Configs []string          `json:"configs"` // the plays that the leads are in
	Kind    string            `json:"kind"`    // what is special about them
	Plain   bool              `json:"plain"`   // nothing is: they must stay duplicates
	Fails   int               `json:"fails"`   // how often the API failed when the old program dialed one
	Cut     bool              `json:"cut"`     // the old program died between its two records of the call: see cutFirst
	Leads   []json.RawMessage `json:"leads"`   // the messages as they are
}

// testLead is one lead of its group.
type testLead struct {
	leadGroup
	text []byte
}

func readLeads(t *testing.T) (leads []testLead) {
	t.Helper()
	b, err := os.ReadFile("testdata/leads.jsonl")
	require.NoError(t, err)
	for _, group := range decodeLines[leadGroup](t, b) {
		for _, text := range group.Leads {
			leads = append(leads, testLead{group, text})
		}
	}
	return leads
}

// sent is a line of sent.jsonl.gz: what the old program made of a lead in one play.
type sent struct {
	Config  string `json:"config"`
	Lead    int    `json:"lead"`
	Outcome string `json:"outcome,omitempty"` // empty for accepted
	Reason  string `json:"reason,omitempty"`
	Number  string `json:"number,omitempty"`
	Ref     string `json:"dial_ref,omitempty"`
	CallID  string `json:"call_id,omitempty"`
}

// dialed reports whether the old ledger has a call of the lead.
func (s sent) dialed() bool { return s.Outcome == "" || s.Outcome == "duplicate" }

// inDoubt reports whether the old ledger has an attempt without an answer.
func (s sent) inDoubt() bool { return s.Outcome == "held" }

// play is a config with a region, and the leads that are dialed with it.
type play struct {
	name  string // such as json_id/DE; a region of - is none
	leads []int
}

func (p play) config() string {
	config, _, _ := strings.Cut(p.name, "/")
	return config
}

func (p play) region() string {
	_, region, _ := strings.Cut(p.name, "/")
	return strings.TrimPrefix(region, "-")
}

func readSent(t *testing.T) []sent {
	t.Helper()
	return decodeLines[sent](t, unpack(t, sentFile))
}

func decodeLines[T any](t *testing.T, b []byte) (lines []T) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	for decoder.More() {
		var line T
		require.NoError(t, decoder.Decode(&line), "line %d", len(lines)+1)
		lines = append(lines, line)
	}
	return lines
}

func unpack(t *testing.T, path string) []byte {
	t.Helper()
	packed, err := os.Open(path)
	require.NoError(t, err)
	defer packed.Close()
	zip, err := gzip.NewReader(packed)
	require.NoError(t, err)
	b, err := io.ReadAll(zip)
	require.NoError(t, err)
	return b
}

func pack(t *testing.T, path string, b []byte) {
	t.Helper()
	var packed bytes.Buffer
	zip, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	require.NoError(t, err)
	_, err = zip.Write(b)
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	require.NoError(t, os.WriteFile(path, packed.Bytes(), 0o600))
}

// plays groups leads by what they are dialed with, in the order of the file.
func plays(leads []testLead) (all []play) {
	index := map[string]int{}
	for n, lead := range leads {
		for _, name := range lead.Configs {
			i, known := index[name]
			if !known {
				i = len(all)
				index[name], all = i, append(all, play{name: name})
			}
			all[i].leads = append(all[i].leads, n+1)
		}
	}
	return all
}
