package starter

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Warnf(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}

// workflowNow is what the API says of a workflow at the time.
type workflowNow struct {
	status      int // of each answer; 0 is 200
	environment string
	behavior    string
}

// checked is a preflight that checks again after a millisecond, of a workflow that changes.
func checked(t *testing.T, begin workflowNow) (p *Preflight, now *atomic.Pointer[workflowNow], asked *atomic.Int64) {
	t.Helper()
	now, asked = &atomic.Pointer[workflowNow]{}, &atomic.Int64{}
	now.Store(&begin)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		flow := now.Load()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/describe"):
			fmt.Fprint(w, `{"organization":{"name":"o"}}`)
			asked.Add(1)
		case flow.status != 0:
			w.WriteHeader(flow.status)
		case strings.HasSuffix(r.URL.Path, "/nodes"):
			fmt.Fprintf(w, `{"data":[{"id":"n1","persistent_id":"trig","type":"action","name":"T","multi_event_behavior":%q}]}`, flow.behavior)
		default:
			fmt.Fprintf(w, `{"id":"11111111-1111-1111-1111-111111111111","slug":"w","latest_version":{"id":"v1","is_live":true,"is_published":true,"environment":%q}}`, flow.environment)
		}
	}))
	t.Cleanup(srv.Close)
	asks, err := platform.New(platform.Options{Options: happyrobot.Options{
		BaseURL: srv.URL + "/api/v2", APIKey: "k", Retry: happyrobot.Retry{InitialInterval: time.Millisecond, MaxElapsedTime: time.Nanosecond},
	}})
	require.NoError(t, err)
	s := New(Options{Workflow: "w", Environment: platform.Production, RefField: "dial_ref", Reads: asks, Asks: asks, InitialInterval: time.Millisecond, MaxInterval: time.Millisecond})
	notice := pause.NewNotice(quiet{}, pause.Wording{Begins: "%v", Lasts: "%s %v", Ends: "%v"}, nil)
	t.Cleanup(notice.Stop)
	p = s.NewPreflight(10*time.Second, time.Second, quiet{}, notice)
	p.again = time.Millisecond
	p.Start()
	t.Cleanup(p.Stop)
	require.NoError(t, p.First(t.Context()))
	return p, now, asked
}

// A refusal is lifted by a trigger that was read, and by nothing else.
func TestOnlyATriggerThatWasReadEndsTheRefusalOfGroup(t *testing.T) {
	t.Parallel()
	for name, between := range map[string]workflowNow{
		"an outage":            {status: http.StatusBadGateway},
		"not to be seen":       {status: http.StatusForbidden},
		"unknown":              {status: http.StatusNotFound},
		"live elsewhere, only": {environment: "staging", behavior: "parallel"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, now, asked := checked(t, workflowNow{environment: "production", behavior: "group"})
			require.Error(t, p.mayNot())
			now.Store(&between)
			before := asked.Load()
			require.Eventually(t, func() bool { return p.mayNot() == nil || asked.Load() >= before+3 }, 10*time.Second, time.Millisecond, "checked until then")
			require.Error(t, p.mayNot())
			now.Store(&workflowNow{environment: "production", behavior: "parallel"})
			require.Eventually(t, func() bool { return p.mayNot() == nil }, 10*time.Second, time.Millisecond)
		})
	}
}

// What cannot be started at the start is checked once it can be.
func TestAWorkflowThatIsPublishedLaterIsChecked(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]workflowNow{
		"unknown":        {status: http.StatusNotFound},
		"not to be seen": {status: http.StatusForbidden},
		"live elsewhere": {environment: "staging", behavior: "group"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, now, _ := checked(t, begin)
			require.NoError(t, p.mayNot())
			assert.Empty(t, p.s.opts.Shared.triggerID(), "that of another version is not ours")
			now.Store(&workflowNow{environment: "production", behavior: "group"})
			require.Eventually(t, func() bool { return p.mayNot() != nil }, 10*time.Second, time.Millisecond)
			assert.Equal(t, "trig", p.s.opts.Shared.triggerID())
		})
	}
}

// After a 404 the workflow is checked before the next run, however long the next check is off.
func TestARefusedTriggerIsCheckedBeforeTheNextRun(t *testing.T) {
	t.Parallel()
	p, now, asked := checked(t, workflowNow{environment: "production", behavior: "parallel"})
	now.Store(&workflowNow{environment: "production", behavior: "group"})
	before := asked.Load()
	verdicts, err := p.Guard().LookUp(t.Context(), time.Now(), nil)
	require.NoError(t, err)
	assert.Nil(t, verdicts)
	assert.Equal(t, before, asked.Load(), "nothing is in doubt")
	p.mu.Lock()
	p.doubted = true
	p.mu.Unlock()
	_, err = p.Guard().LookUp(t.Context(), time.Now(), nil)
	require.NoError(t, err)
	require.Error(t, p.mayNot())
}
