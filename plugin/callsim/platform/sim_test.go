package platform_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

type object = map[string]any

func listen(t *testing.T, opts platform.Options) *platform.Server {
	t.Helper()
	srv, err := platform.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, srv.Close()) })
	return srv
}

// ask makes one request, whose answer's body is an object or nil; status 0 is a connection
// without a whole answer.
func ask(t *testing.T, method, url, body string) (status int, answer object) {
	t.Helper()
	status, _, text := askRaw(t, method, url, body, nil)
	_ = json.Unmarshal([]byte(text), &answer)
	return status, answer
}

func askRaw(t *testing.T, method, url, body string, header http.Header) (status int, _ http.Header, reply string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer k")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, header)
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, res.Header, string(b)
	}
	return res.StatusCode, res.Header, string(b)
}

// start triggers a run and gives the first id of the answer.
func start(t *testing.T, srv *platform.Server, payload string) (id string) {
	t.Helper()
	status, answer := ask(t, "POST", srv.URL+"/workflows/"+platform.DefaultWorkflow+"/runs", `{"payload":`+payload+`}`)
	require.Equal(t, 200, status, "%v", answer)
	return idOf(t, answer)
}

func idOf(t *testing.T, answer object) string {
	t.Helper()
	if id, ok := answer["run_id"].(string); ok {
		return id
	}
	ids, _ := answer["queued_run_ids"].([]any)
	require.NotEmpty(t, ids, "%v", answer)
	return ids[0].(string)
}

func lead(n int) string {
	return fmt.Sprintf(`{"phone_number":"+1202555%04d","dial_ref":"ref-%d"}`, n, n)
}

func TestARunLivesFromTriggerToExtraction(t *testing.T) {
	srv := listen(t, platform.Options{Speed: 0.0001, Visibility: -1})
	id := start(t, srv, lead(1))
	run := func() object {
		_, r := ask(t, "GET", srv.URL+"/runs/"+id, "")
		return r
	}
	assert.Equal(t, "scheduled", run()["status"])
	assert.Nil(t, run()["completed_at"])
	srv.Sim.Advance(4 * time.Second)
	assert.Equal(t, "running", run()["status"])
	_, sessions := ask(t, "GET", srv.URL+"/runs/"+id+"/sessions", "")
	first := sessions["data"].([]any)[0].(object)
	assert.Equal(t, "queued", first["status"])
	assert.Equal(t, "+12025550001", first["user_number"])
	srv.Sim.Advance(time.Hour)
	assert.Equal(t, srv.Sim.Runs()[0].EndsAs, run()["status"])
	assert.NotNil(t, run()["completed_at"])

	_, list := ask(t, "GET", srv.URL+"/workflows/"+platform.DefaultWorkflow+"/runs?sort=asc&page_size=500", "")
	row := list["data"].([]any)[0].(object)
	assert.Equal(t, id, row["id"])
	assert.Contains(t, row["data"], "00000000-0000-7004-8000-000000000001.data.dial_ref")
	assert.Equal(t, map[string]int{"ref-1": 1}, srv.Sim.RunsBy("dial_ref"))

	_, nodes := ask(t, "GET", srv.URL+"/runs/"+id+"/nodes", "")
	trigger := nodes["data"].([]any)[0].(object)
	_, output := ask(t, "GET", srv.URL+"/runs/"+id+"/outputs/"+trigger["output_id"].(string), "")
	assert.Equal(t, "ref-1", output["data"].(object)["data"].(object)["data"].(object)["dial_ref"], "nested by an incoming hook")

	_, messages := ask(t, "GET", srv.URL+"/sessions/"+first["id"].(string)+"/messages", "")
	assert.NotNil(t, messages["data"])
	status, recordings := ask(t, "GET", srv.URL+"/runs/"+id+"/recordings", "")
	assert.Equal(t, 200, status)
	assert.Contains(t, recordings, "recordings")
}

func TestFaultsStartWhatTheySay(t *testing.T) {
	for _, tc := range []struct {
		fault   platform.Fault
		status  int
		started int
	}{
		{platform.Fault{Kind: platform.Refuse, Status: 429, RetryAfter: "7"}, 429, 0},
		{platform.Fault{Kind: platform.ErrorBefore}, 502, 0},
		{platform.Fault{Kind: platform.CutBefore}, 0, 0},
		{platform.Fault{Kind: platform.CutInBody}, 0, 0},
		{platform.Fault{Kind: platform.Firewall}, 403, 0},
		{platform.Fault{Kind: platform.Redirect}, 307, 0},
		{platform.Fault{Kind: platform.LoseAnswer}, 0, 1},
		{platform.Fault{Kind: platform.CutBody}, 0, 1},
		{platform.Fault{Kind: platform.ErrorAfter}, 502, 1},
		{platform.Fault{Kind: platform.WrongType}, 200, 1},
		{platform.Fault{Kind: platform.NotJSON}, 200, 1},
		{platform.Fault{Kind: platform.NoID}, 200, 1},
		{platform.Fault{Kind: platform.TwoIDs}, 200, 1},
		{platform.Fault{Kind: platform.LoseAnswer, To: "ref-1"}, 0, 1},
		{platform.Fault{Kind: platform.LoseAnswer, To: "ref-2"}, 200, 1},
	} {
		t.Run(fmt.Sprint(tc.fault.Kind, tc.fault.To), func(t *testing.T) {
			srv := listen(t, platform.Options{})
			srv.Sim.Inject(tc.fault)
			status, _ := ask(t, "POST", srv.URL+"/workflows/"+platform.DefaultWorkflow+"/runs", `{"payload":`+lead(1)+`}`)
			assert.Equal(t, tc.status, status)
			assert.Len(t, srv.Sim.Runs(), tc.started)
		})
	}
}
