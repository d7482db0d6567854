package platform_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

const (
	key        = "sk_live_unit-test-key"
	workflowID = "00000000-0000-7002-8000-000000000001"
	versionID  = "00000000-0000-7003-8000-000000000001"
	triggerID  = "00000000-0000-7004-8000-000000000001"
	runID      = "00000000-0000-7006-8000-000000000001"
	sessionID  = "00000000-0000-7007-8000-000000000002"
	firstCall  = "00000000-0000-7007-8000-000000000001"
	extractID  = "00000000-0000-700b-8000-000000000003"
	reference  = "hr1_5c1e4f0a9b7d2c3e"
)

// example is one of the examples of the API's description.
func example(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".json")
	require.NoError(t, err)
	return string(b)
}

// answer is what a scripted API answers to one request.
type answer struct {
	status int // 0 is 200
	body   string
	header map[string]string
}

// api answers by method and path, its list of answers one after another, the last one for
// ever. It keeps what it was asked.
type api struct {
	answers map[string][]answer

	mu    sync.Mutex
	asked []*http.Request // with their bodies read
	body  []string
}

func (a *api) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	a.mu.Lock()
	a.asked, a.body = append(a.asked, req), append(a.body, string(body))
	name := req.Method + " " + req.URL.Path
	answers := a.answers[name]
	now := answer{status: http.StatusNotImplemented, body: `{"error":"nothing is scripted for ` + name + `"}`}
	if len(answers) > 0 {
		now = answers[0]
	}
	if len(answers) > 1 {
		a.answers[name] = answers[1:]
	}
	a.mu.Unlock()
	for name, value := range now.header {
		w.Header().Set(name, value)
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	if now.status == 0 {
		now.status = http.StatusOK
	}
	w.WriteHeader(now.status)
	_, _ = io.WriteString(w, now.body)
}

func (a *api) requests() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.asked)
}

func (a *api) bodies() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.body)
}

// serve starts a scripted API with one answer for each operation, and a client of it.
func serve(t testing.TB, answers map[string]answer) (*api, *platform.Client) {
	t.Helper()
	scripts := map[string][]answer{}
	for name, a := range answers {
		scripts[name] = []answer{a}
	}
	return script(t, scripts, nil)
}

// script is serve with several answers to an operation.
func script(t testing.TB, answers map[string][]answer, change func(*platform.Options)) (*api, *platform.Client) {
	t.Helper()
	a := &api{answers: answers}
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	opts := platform.Options{Options: happyrobot.Options{BaseURL: srv.URL, APIKey: key, Retry: happyrobot.Retry{InitialInterval: 1, MaxInterval: 2, MaxElapsedTime: 1}}}
	if change != nil {
		change(&opts)
	}
	c, err := platform.New(opts)
	require.NoError(t, err)
	return a, c
}
