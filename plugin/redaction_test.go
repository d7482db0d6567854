package plugin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// quoting is an API that refuses with what it was sent, in words of its own, as often
// as told, and is the pretend API then.
func quoting(t *testing.T, status, times int) (url string) {
	t.Helper()
	sim := callsim.New(callsim.Options{})
	t.Cleanup(sim.Close)
	var refused atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost || refused.Load() >= int64(times) {
			sim.ServeHTTP(w, req)
			return
		}
		refused.Add(1)
		body, _ := io.ReadAll(req.Body)
		quote, _ := json.Marshal(fmt.Sprintf("phone_number must be E.164: Ada Lovelace (415_555_0100, ada@example.com) %s, team %s, %s",
			req.Header.Get("Authorization"), req.Header.Get("X-Team"), body))
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"message":%s}`, quote)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + "/api/v1"
}

const leadWithAName = `{"id":"lead-1","phone":"+14155550100","params":{"customer_name":"Ada Lovelace","mail":"ada@example.com"}}`

func assertNothingTold(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{"Ada", "Lovelace", "5550100", "555_0100", "example.com", "test-key", "t34m", "lead-1", "64f0c0de"} {
		assert.NotContains(t, text, secret)
	}
}

func TestARefusalThatQuotesTheLeadShowsItNeitherInTheLogNorInTheError(t *testing.T) {
	t.Parallel()
	url := quoting(t, http.StatusUnprocessableEntity, 1000)
	s := run(t, dialParts(url, "headers: { X-Team: t34m-secret }"))

	require.NoError(t, s.deliver(leadWithAName))

	failed := s.out.all()
	require.Len(t, failed, 1)
	told := failed[0]["@fallback_error"].(string)
	assert.Contains(t, told, "phone_number must be E.164: (value) (number), (mail)", "what to change stays readable")
	assertNothingTold(t, told)
	assertNothingTold(t, s.logs.String())
}

func TestAHoldThatQuotesTheLeadDoesNotShowItInTheLog(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusUnauthorized, http.StatusTooManyRequests} {
		url := quoting(t, status, 2)
		s := run(t, dialParts(url, "headers: { X-Team: t34m-secret }"))
		require.NoError(t, s.deliver(leadWithAName))
		assert.Empty(t, s.out.all())
		require.Eventually(t, func() bool { return strings.Contains(s.logs.String(), "phone_number must be E.164") }, time.Minute, time.Millisecond)
		assertNothingTold(t, s.logs.String())
	}
}

func TestARefusedRequestShowsNothingOfItsArguments(t *testing.T) {
	t.Parallel()
	url := quoting(t, http.StatusUnprocessableEntity, 1000)
	s := run(t, parts{processors: []string{fmt.Sprintf(`
happyrobot_request:
  api_key: test-key
  base_url: %s
  operation: addNote
  headers: { X-Team: t34m-secret }
  args_mapping: |
    root.path.id = "65ee00000000000000000101"
    root.body = this`, url)}})
	require.NoError(t, s.deliver(leadWithAName))
	out := s.out.all()
	require.Len(t, out, 1)
	assert.Contains(t, out[0]["error"], "phone_number must be E.164")
	assertNothingTold(t, out[0]["error"].(string))
}
