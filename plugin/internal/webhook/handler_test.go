package webhook

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Dashboards know these labels.
func TestEveryResultHasAnAnswer(t *testing.T) {
	statuses := map[string]int{}
	for result, a := range answers {
		statuses[string(result)] = a.status
		assert.Equal(t, a.status == http.StatusOK, a.text == "", result)
	}
	assert.Equal(t, map[string]int{
		"taken": 200, "known": 200, "failed": 503, "late": 503, "busy": 503, "cache_failed": 503, "stopping": 503,
		"wrong_path": 404, "wrong_method": 405, "stranger": 401, "too_large": 413, "slow": 408, "cut": 400, "no_json": 400, "no_event": 400,
		"wrong_encoding": 415, "bad_encoding": 400,
	}, statuses)
}

func TestARequestIsCountedOnceAndAnswered(t *testing.T) {
	var counted []Result
	s := NewDeliveries("/events", nil, time.Second, &told{})
	h := NewHandler(Options{
		Path: "/events", Secrets: []string{"open sesame"}, SecretHeader: "X-Secret", Timeout: time.Millisecond, MaxBody: 100, MaxInFlight: 1,
		OnResult: func(r Result) { counted = append(counted, r) }, Log: &told{},
	}, s)
	defer h.Stop()
	server := httptest.NewServer(h)
	defer server.Close()
	post := func(path, secret, body string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("X-Secret", secret)
		res, err := server.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res
	}
	const known, hook = "open sesame", `{"type":"end","call":{"id":"a"}}`
	assert.Equal(t, 404, post("/", known, hook).StatusCode)
	assert.Equal(t, 401, post("/events", "guess", hook).StatusCode)
	assert.Equal(t, 413, post("/events", known, strings.Repeat(" ", 101)).StatusCode)
	assert.Equal(t, 400, post("/events", known, "<html>").StatusCode)
	assert.Equal(t, 400, post("/events", known, `{"type":"end","call":{"id":"a","note":"`+"\xff"+`"}}`).StatusCode)
	assert.Equal(t, 400, post("/events", known, "{}").StatusCode)
	late := post("/events", known, hook)
	assert.Equal(t, 503, late.StatusCode)
	assert.Equal(t, "5", late.Header.Get("Retry-After"))
	s.Abandon()
	assert.Equal(t, 503, post("/events", known, hook).StatusCode)
	assert.Equal(t, []Result{WrongPath, Stranger, TooLarge, NoJSON, NoJSON, NoEvent, Late, Stopping}, counted)
}
