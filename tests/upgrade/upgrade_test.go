package upgrade

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A lead that the old program called is a duplicate, with the id of that call, or
// it is rejected. It is never sent, and never a conflict: that would be the same
// key for another request.
func TestLeadsOfTheLastVersionAreNotCalledAgain(t *testing.T) {
	leads := readLeads(t)
	before := map[string]map[int]sent{}
	for _, line := range readSent(t) {
		if before[line.Config] == nil {
			before[line.Config] = map[int]sent{}
		}
		before[line.Config][line.Lead] = line
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	require.NoError(t, os.WriteFile(path, unpack(t, ledgerFile), 0o600))
	api := startAPI(t, "5ec0")

	called, plain, newlySent := 0, 0, 0
	counts, changes := map[string]int{}, map[string]int{}
	for _, p := range plays(leads) {
		s := startStream(t, p, api, path)
		for part := range slices.Chunk(p.leads, 20) {
			batch := make([]numbered, len(part))
			for i, n := range part {
				batch[i] = numbered{n, leads[n-1].text}
			}
			s.deliver(batch...)
		}
		s.stop()
		for _, n := range p.leads {
			lead, was, now := leads[n-1], before[p.name][n], s.fates[n]
			what := fmt.Sprintf("%s, lead %d (%s) %s\nwas sent to %q: now %s %s %v", p.name, n, lead.Kind, lead.text, was.Number, now.outcome, now.reason, now.err)
			require.Equal(t, n, was.Lead, "sent.jsonl.gz is of other leads: %s", what)
			switch {
			case was.dialed():
				called++
				if lead.Plain {
					plain++
				}
				switch now.outcome {
				case "duplicate":
					assert.Equal(t, was.CallID, now.callID, "a duplicate has the id of the old call: %s", what)
				case "rejected":
					changes[lead.Kind+": called before, now rejected as "+now.reason]++
					assert.False(t, lead.Plain, "a plain lead stays a duplicate: %s", what)
				default:
					assert.Fail(t, "a called lead is a duplicate, or rejected", what)
				}
			case was.inDoubt():
				assert.Contains(t, []string{"held", "rejected"}, now.outcome, "a lead in doubt is not sent again: %s", what)
			case now.outcome == "accepted": // nobody was called: the lead may be better understood now
				newlySent++
				changes[lead.Kind+": sent now, before "+was.Outcome+" "+was.Reason]++
			}
			counts[now.outcome+" "+now.reason]++
		}
	}
	assert.Len(t, api.placed(), newlySent, "only leads that were never called are sent")
	assert.GreaterOrEqual(t, called, 200)
	assert.GreaterOrEqual(t, plain, 60)
	t.Logf("the old program called %d, of which %d are plain; now:", called, plain)
	for _, table := range []map[string]int{counts, changes} {
		for _, line := range slices.Sorted(maps.Keys(table)) {
			t.Logf("%5d %s", table[line], line)
		}
	}
}
