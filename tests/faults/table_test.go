package faults

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const tableFile = "../reliability.md"

var (
	tableSides = []side{hold, redialAbsent, peer}
	tableRates = []float64{0.01, 0.05, 0.2}
)

const tableLeads = 600 // of each row and side at each rate

// TestReliabilityTable keeps the committed table in step with the faults that are
// known here. UPDATE_RELIABILITY=1 writes it anew from a real run; CHECK_RELIABILITY=1
// makes such a run and writes nothing.
func TestReliabilityTable(t *testing.T) {
	update := os.Getenv("UPDATE_RELIABILITY") != ""
	if update || os.Getenv("CHECK_RELIABILITY") != "" {
		s := seed(t)
		got := runAll(t, plan(s, tableSides, tableRates, tableLeads))
		for _, r := range rows() {
			for _, side := range []side{hold, redialAbsent} {
				t.Run(r.name+"/"+string(side), func(t *testing.T) {
					assert.Positive(t, got[r.name][side].struck, "the fault was injected")
					assertPromise(t, r, side, got[r.name][side])
				})
			}
		}
		if update {
			before, err := os.ReadFile(tableFile)
			require.NoError(t, err)
			_, today, _ := strings.Cut(string(before), todayTitle)
			require.NoError(t, os.WriteFile(tableFile, []byte(table(s, got)+"\n"+todayTitle+today), 0o600))
		}
	}
	b, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	v1, _, _ := strings.Cut(string(b), todayTitle)
	told := map[string][]string{}
	for line := range strings.Lines(v1) {
		if cells := cellsOf(line); len(cells) == len(columns) && cells[0] != columns[0] && !strings.HasPrefix(cells[0], "-") {
			told[withoutNote(cells[0])] = cells
		}
	}
	for _, r := range rows() {
		cells, ok := told[r.name]
		if !assert.True(t, ok, "tests/reliability.md has no row %q: run `make reliability`", r.name) {
			continue
		}
		delete(told, r.name)
		for i, s := range []side{hold, redialAbsent} {
			if r.promises(s) {
				assert.True(t, strings.HasPrefix(cells[2+i], "0 / 0 /"), "%s, %s: %s", r.name, s, cells[2+i])
			}
		}
	}
	assert.Empty(t, told, "rows of faults that no longer exist: run `make reliability`")
}

var columns = []string{"Fault", "Injected", "`hold`", "`redial_absent`", "`http_client`", "Requests"}

func cellsOf(line string) []string {
	line, ok := strings.CutPrefix(strings.TrimSpace(line), "| ")
	if !ok {
		return nil
	}
	return strings.Split(strings.TrimSuffix(line, " |"), " | ")
}

func withoutNote(name string) string {
	before, _, _ := strings.Cut(name, " [")
	return before
}

func table(seed uint64, got map[string]map[side]tally) string {
	var b, notes strings.Builder
	fmt.Fprintf(&b, `# Reliability: what faults do to leads

Written by a real run (`+"`make reliability`"+`), seed %d: %d leads for each row and each
of the three columns, a third of them with 1 %% of the requests struck, a third with
5 %%, a third with 20 %%. Of cache operations and connections, where those are at fault,
as many. About every tenth lead is delivered twice, and all of them once more at the
end. The pretend API's own record says who was called.

`+"`hold` and `redial_absent` are the `on_unknown` of `happyrobot_dial`; `http_client`"+` is the
stock output in its best honest config: the same batches, up to 10 retries with growing
pauses, a `+"`dedupe`"+` processor on the same cache, itself retried, and a `+"`fallback`"+` where the
dial has `+"`failures`"+`.
Settings: `+"`timeout`"+` %v, or %v where answers come later than that; `+"`settle`"+` %v; %d calls a
request; %d in flight.

- doubled: leads called twice or more
- lost: leads acknowledged, not called, and not in the failure output with a reason
- held: leads that may have been called and are told as `+"`held`"+`, for somebody to look
- misfiled: leads that went to the failure output without a word of that, and were called:
  whoever plays the failures back calls them again
- injected, requests: on the three sides in the same order; requests to dial and to list

`, seed, tableLeads*len(tableRates), timeout, brief, settle, maxBatch, maxInFlight)
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	b.WriteString("| | | doubled / lost / held | doubled / lost / held | doubled / lost / misfiled | |\n")
	note := 0
	for _, r := range rows() {
		name := r.name
		if r.why != "" {
			note++
			name += fmt.Sprintf(" [%d]", note)
			fmt.Fprintf(&notes, "[%d] No promise for %s: %s.\n", note, quoteAll(r.except), r.why)
		}
		h, a, p := got[r.name][hold], got[r.name][redialAbsent], got[r.name][peer]
		fmt.Fprintf(&b, "| %s | %d, %d, %d | %d / %d / %d | %d / %d / %d | %d / %d / %d | %d, %d, %d |\n", name,
			h.struck, a.struck, p.struck, h.doubled, h.lost, h.held, a.doubled, a.lost, a.held, p.doubled, p.lost, p.called,
			h.dials+h.lists, a.dials+a.lists, p.dials+p.lists)
	}
	return b.String() + "\n" + notes.String()
}

func quoteAll(sides []side) string {
	words := make([]string, len(sides))
	for i, s := range sides {
		words[i] = "`" + string(s) + "`"
	}
	return strings.Join(words, " and ")
}

// The count must be able to see what ours never shows.
func TestTheCountSeesDoubledAndLostLeads(t *testing.T) {
	if testing.Short() {
		t.Skip("the fast lane leaves this out: it tests the other tests")
	}
	t.Parallel()
	var runs []run
	for _, r := range rows() {
		if r.name == "answer lost after creating" || r.name == "half a batch created, 200" {
			runs = append(runs, run{row: r, side: peer, rate: 0.2, leads: 100, seed: seed(t)})
		}
	}
	got := runAll(t, runs)
	assert.Positive(t, got["answer lost after creating"][peer].doubled)
	assert.Positive(t, got["half a batch created, 200"][peer].lost)
}
