package pipelines

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

func startUsageReport(t *testing.T, baseURL, dsn string) *program.Process {
	t.Helper()
	return program.StartPipeline(t, program.Settings(t, "HAPPYROBOT_BASE_URL="+baseURL, "POSTGRES_DSN="+dsn, "USAGE_INTERVAL=50ms", "HAPPYROBOT_ORGANIZATION_ID=org-1"),
		"-r", "resources/local.yaml", "config/usage_report.yaml")
}

// The older form of the reply, from callsim.
func TestUsageBecomesRows(t *testing.T) {
	db, dsn := database(t)
	sim := program.StartCallsim(t)
	usage := func() map[string]row { return table(t, db, "usage_report", "period") }
	calls := func(n float64) func() bool {
		return func() bool { return usage()["all"].values["calls"] == n }
	}
	sim.Arrive(t, callsim.Arrival{Count: 7})
	pipeline := startUsageReport(t, sim.BaseURL(), dsn)
	require.Eventually(t, calls(7), time.Minute, 20*time.Millisecond)
	assert.Equal(t, map[string]any{
		"organization_id": "64f0c0de00000000000000aa", "use_case_id": "", "period": "all",
		"period_start": nil, "period_end": nil, "calls": 7.0, "minutes": 0.0,
	}, usage()["all"].values)

	sim.Arrive(t, callsim.Arrival{Count: 2})
	require.Eventually(t, calls(9), time.Minute, 20*time.Millisecond)
	services.Restart(t, "postgres")
	sim.Arrive(t, callsim.Arrival{Count: 1})
	require.Eventually(t, calls(10), time.Minute, 20*time.Millisecond)
	pipeline.Stop(t)
	assert.Len(t, usage(), 1)
}

// The newer form, which callsim does not speak.
func TestUsageByUseCaseBecomesRows(t *testing.T) {
	db, dsn := database(t)
	var asked atomic.Int64
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		assert.Equal(t, "/api/v1/usage", req.URL.Path)
		assert.Equal(t, "org-1", req.Header.Get("x-organization-id"))
		w.Header().Set("Content-Type", "application/json")
		if asked.Add(1) == 1 {
			_, _ = w.Write([]byte(`{"message":"none of the documented forms"}`))
			return
		}
		_, _ = w.Write([]byte(`[{"org_id":"a\u0000b","use_case_id":"u1","start":"2026-03-01T00:00:00Z","end":"2026-04-01T00:00:00Z","calls":7,"minutes":12.5},` +
			`{"org_id":"a","use_case_id":"u2","start":"2026-03-01T00:00:00Z","end":"2026-04-01T00:00:00Z","calls":1,"minutes":2}]`))
	}))
	t.Cleanup(api.Close)
	pipeline := startUsageReport(t, api.URL+"/api/v1", dsn)
	usage := func() map[string]row { return table(t, db, "usage_report", "use_case_id") }
	require.Eventually(t, func() bool { return len(usage()) == 2 }, time.Minute, 20*time.Millisecond)
	before, asks := usage(), asked.Load()
	for id, want := range map[string]map[string]any{
		"u1": {"organization_id": "ab", "use_case_id": "u1", "calls": 7.0, "minutes": 12.5},
		"u2": {"organization_id": "a", "use_case_id": "u2", "calls": 1.0, "minutes": 2.0},
	} {
		assert.Subset(t, before[id].values, want)
		for field, at := range map[string]string{"period_start": "2026-03-01T00:00:00Z", "period_end": "2026-04-01T00:00:00Z"} {
			got, err := time.Parse(time.RFC3339, before[id].values[field].(string))
			require.NoError(t, err)
			assert.Equal(t, at, got.UTC().Format(time.RFC3339))
		}
	}
	require.Eventually(t, func() bool { return asked.Load() >= asks+3 }, time.Minute, 20*time.Millisecond)
	pipeline.Stop(t)
	assert.Equal(t, before, usage(), "what has not changed is not written again")
	assert.Contains(t, pipeline.Log(), "Usage was not read")
}
