package plugin_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// An answer and a list with our reference, and with a number in place of the id.
func TestALeadWhoseCallHasNoIDIsHeldAndNotDialedAgain(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	srv.Sim.Inject(callsim.Fault{Kind: callsim.DropID})
	s := run(t, dialParts(srv.URL, "on_unknown: redial_absent"))
	require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("b", "+12025550102")))
	assert.Equal(t, map[string]int{"a": 1, "b": 1}, srv.Sim.CallsBy("metadata.lead_id"))
	assert.Equal(t, 1, srv.Sim.RequestsOf("createOutboundCallsBatched"))
	failed := s.out.all()
	require.Len(t, failed, 2)
	for _, f := range failed {
		assert.Equal(t, "held: unknown: the API has the call, and gives no id of it that can be read; it is not dialed again", f["@fallback_error"])
	}
}

func TestALeadIsDialedAgainAtMostMaxRedialsTimes(t *testing.T) {
	t.Parallel()
	for most, sent := range []string{"once", "2 times", "3 times"} {
		srv := startSim(t, callsim.Options{})
		srv.Sim.Inject(callsim.Fault{Kind: callsim.CutInBody})
		s := run(t, dialParts(srv.URL, "on_unknown: redial_absent", fmt.Sprintf("max_redials: %d", most)))
		require.NoError(t, s.deliver(lead("a", "+12025550101")))
		assert.Equal(t, 1+most, srv.Sim.RequestsOf("createOutboundCallsBatched"))
		failed := s.out.all()
		require.Len(t, failed, 1)
		assert.Contains(t, failed[0]["@fallback_error"], "held: unknown: the call may have been placed: it was sent "+sent+",")
	}
}

// The first request of a process is lost, so that nothing but the list tells of the clock.
func TestNoClockOfTheAPIDoublesALead(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, skew := range []time.Duration{-10 * time.Minute, 10 * time.Minute, -time.Hour, -3 * day, 3 * day} {
		for _, date := range []string{"", "wall", "none", "Thu, 01 Jan 1970 00:00:00 GMT", "today"} {
			t.Run(fmt.Sprintf("%v, Date %q", skew, date), func(t *testing.T) {
				t.Parallel()
				srv := startSim(t, callsim.Options{ClockSkew: skew, Date: date, CreatedResolution: time.Second})
				srv.Sim.LoseAnswer("+12025550101")
				srv.Sim.LoseAnswer("+12025550103")
				s := run(t, dialParts(srv.URL, "on_unknown: redial_absent", "max_calls_per_request: 1"))
				leads := []string{lead("a", "+12025550101"), lead("b", "+12025550102"), lead("c", "+12025550103")}
				require.NoError(t, s.deliver(leads...))
				srv.Sim.SetClock(0) // and what comes then is found as well
				srv.Sim.LoseAnswer("+12025550104")
				require.NoError(t, s.deliver(lead("d", "+12025550104")))
				assert.Empty(t, s.out.all())
				assert.Equal(t, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}, srv.Sim.CallsBy("metadata.lead_id"))
			})
		}
	}
}

func TestTheClockOfTheAPIIsAMetricAndAWarning(t *testing.T) {
	t.Parallel()
	for skew, warned := range map[time.Duration]bool{-2 * time.Hour: true, 2 * time.Hour: true, -10 * time.Minute: false} {
		srv, seen, log := startSim(t, callsim.Options{ClockSkew: skew}), &gauges{set: map[string][]int64{}}, &logs{}
		env := service.NewEnvironment()
		require.NoError(t, env.RegisterMetricsExporter("gauges", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) { return seen, nil }))
		b := env.NewStreamBuilder()
		b.SetLogger(slog.New(slog.NewTextHandler(log, nil)))
		require.NoError(t, b.SetMetricsYAML("gauges: {}"))
		require.NoError(t, b.AddInputYAML(`generate: {count: 3, interval: "", mapping: 'root = {"id":uuid_v4(),"phone":"+12025550101"}'}`))
		require.NoError(t, b.AddOutputYAML("happyrobot_dial:\n  "+indent(2, dialYAML(srv.URL, "failures: {drop: {}}"))))
		stream, err := b.Build()
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, stream.Run(ctx))

		values := seen.of("happyrobot_clock_skew_seconds")
		require.NotEmpty(t, values)
		assert.Zero(t, values[0], "there from the start")
		assert.InDelta(t, skew.Seconds(), values[len(values)-1], 30)
		const line = "The clocks of the API and of this machine are far apart"
		if warned {
			assert.Contains(t, log.String(), line)
		} else {
			assert.NotContains(t, log.String(), line)
		}
	}
}
