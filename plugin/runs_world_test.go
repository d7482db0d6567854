package plugin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// trigger starts n runs through the API, and tells their ids.
func trigger(t *testing.T, srv *platform.Server, n int) (ids []string) {
	t.Helper()
	known := len(srv.Sim.Runs())
	for i := range n {
		platformPost(t, srv.URL+"/workflows/"+platform.DefaultWorkflow+"/runs", fmt.Sprintf(`{"payload":{"phone_number":"+1415555%04d"},"environment":"production"}`, i))
	}
	for _, r := range srv.Sim.Runs()[known:] {
		ids = append(ids, r.ID)
	}
	require.Len(t, ids, n)
	return ids
}

func cancelRun(t *testing.T, srv *platform.Server, id string) {
	t.Helper()
	require.Eventually(t, func() bool { return platformStatus(t, srv.URL+"/runs/"+id) == http.StatusOK }, time.Minute, 5*time.Millisecond)
	platformPost(t, srv.URL+"/runs/"+id+"/cancel", "")
}

func platformPost(t *testing.T, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer test-key")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	var said json.RawMessage
	_ = json.NewDecoder(res.Body).Decode(&said)
	require.Equal(t, http.StatusOK, res.StatusCode, string(said))
}

func platformStatus(t *testing.T, url string) int {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer test-key")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	return res.StatusCode
}
