package bench

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// requestsGoal is the most requests that a call of a backfill may cost.
const requestsGoal = 0.02

// BenchmarkBackfillDensities streams finished calls of which many share a second of
// creation, as those of a dialer do, and such among calls that are scheduled for later.
func BenchmarkBackfillDensities(b *testing.B) {
	n := callCount(b)
	for _, tc := range []struct {
		name                         string
		finished, density, scheduled int
	}{
		{"1 a second", n, 1, 0},
		{"10 a second", n, 10, 0},
		{"200 a second", n, 200, 0},
		{"1000 a second", n, 1000, 0},
		{"200 a second, behind twice as many scheduled ones", n, 200, 2 * n},
		{"50 at 10 a second, behind many scheduled ones", 50, 10, n},
	} {
		b.Run(tc.name, func(b *testing.B) {
			srv, err := callsim.Listen("127.0.0.1:0", callsim.Options{CreatedResolution: time.Second})
			require.NoError(b, err)
			defer srv.Close()
			all := tc.finished + tc.scheduled
			arrive(b, srv, tc.scheduled, all, tc.density, time.Now().Add(30*24*time.Hour))
			arrive(b, srv, tc.finished, tc.finished, tc.density, time.Time{})
			srv.Sim.Advance(time.Hour)
			stock := &backfillSide{name: "generate and http", configure: func(s *service.StreamBuilder) error { return stockPagingLoop(s, srv.URL, all) }}
			ours := &backfillSide{name: "happyrobot_calls, memory", configure: func(s *service.StreamBuilder) error { return callsInput(s, srv.URL, "memory: {}") }}
			rounds := 0
			for b.Loop() {
				stock.run(b, srv, all)
				ours.run(b, srv, tc.finished)
				rounds++
			}
			listed := all * rounds
			each := float64(ours.requests) / float64(listed)
			b.ReportMetric(ours.used.rate(listed), "listed-calls/s")
			b.ReportMetric(each, "requests/call")
			word := "reached"
			if each > requestsGoal {
				word = "MISSED"
			}
			var text strings.Builder
			fmt.Fprintf(&text, "\n%d finished calls, %d scheduled ones\n", tc.finished, tc.scheduled)
			for _, side := range []*backfillSide{stock, ours} {
				fmt.Fprintf(&text, "%8.0f calls/s listed  %6.2f s  %5d requests  %.4f a call  %4d MB peak heap  %s\n", side.used.rate(listed),
					side.used.elapsed.Seconds()/float64(rounds), side.requests/rounds, float64(side.requests)/float64(listed), side.used.peakHeap>>20, side.name)
			}
			fmt.Fprintf(&text, "requests per call: %.4f (goal at most %.2f %s)\n", each, requestsGoal, word)
			text.WriteString(verdict("happyrobot_calls / generate and http", ours.used.rate(listed)/stock.used.rate(listed), 0.5))
			b.Log(text.String())
		})
	}
}

// arrive makes n calls arrive, so many in each second, that are scheduled for a time or
// over soon. The first was created before as many calls as ago counts.
func arrive(b *testing.B, srv *callsim.Server, n, ago, density int, due time.Time) {
	b.Helper()
	if n == 0 {
		return
	}
	every := time.Second / time.Duration(density)
	members := map[string]string{"phone_number": "+12025550101"}
	if !due.IsZero() {
		members["scheduled_for"] = due.UTC().Format(time.RFC3339)
	}
	call, err := json.Marshal(members)
	require.NoError(b, err)
	_, err = srv.Sim.Arrive(callsim.Arrival{
		Count: n, Ago: callsim.Duration(time.Duration(ago)*every + time.Minute), Every: callsim.Duration(every),
		Call: call, EndsAs: "Completed", Talk: callsim.Duration(time.Minute),
	})
	require.NoError(b, err)
}
