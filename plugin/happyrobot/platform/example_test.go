package platform_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

// Start a run, and see how its last call ended.
func Example() {
	const run = "00000000-0000-7006-8000-000000000001"
	answers := map[string]string{
		"/workflows/appointment-reminders/runs": `{"queued_run_ids":["` + run + `"],"status":"queued"}`,
		"/runs/" + run:                          `{"id":"` + run + `","status":"completed"}`,
		"/runs/" + run + "/sessions": `{"data":[
			{"run_id":"` + run + `","status":"missed","timestamp":"2026-09-20T10:02:03Z"},
			{"run_id":"` + run + `","status":"voicemail","timestamp":"2026-09-20T10:05:00Z"}],
			"pagination":{"page":1,"page_size":100,"total_pages":1,"total_records":2,"has_next_page":false}}`,
	}
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.WriteString(w, answers[req.URL.Path])
	}))
	defer api.Close()
	client, err := platform.New(platform.Options{Cluster: platform.US, Options: happyrobot.Options{APIKey: "key", BaseURL: api.URL}})
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx := context.Background()
	queued, err := client.Trigger(ctx, "appointment-reminders", platform.Trigger{
		Payload: json.RawMessage(`{"phone_number":"+12025550101","customer_name":"Ada"}`),
	})
	if err != nil {
		fmt.Println(happyrobot.ClassOf(err)) // unknown: a run may have been started
		return
	}
	started, err := client.GetRun(ctx, queued.RunID())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the run is over:", started.Status.Over())

	var sessions []platform.Session
	for session, err := range client.ListRunSessions(ctx, started.ID) {
		if err != nil {
			fmt.Println(err)
			return
		}
		sessions = append(sessions, session)
	}
	if last, ok := platform.LastSession(sessions); ok {
		fmt.Println("its last call:", last.Status)
	}
	// Output:
	// the run is over: true
	// its last call: voicemail
}
