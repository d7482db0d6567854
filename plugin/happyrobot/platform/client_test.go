package platform_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

func TestTheClusterDecidesTheBaseURL(t *testing.T) {
	for cluster, want := range map[platform.Cluster]string{
		"": "https://platform.happyrobot.ai/api/v2", platform.US: "https://platform.happyrobot.ai/api/v2", platform.EU: "https://platform.eu.happyrobot.ai/api/v2",
	} {
		c, err := platform.New(platform.Options{Cluster: cluster, Options: happyrobot.Options{APIKey: key}})
		require.NoError(t, err)
		assert.Equal(t, want, c.BaseURL())
	}
	_, err := platform.New(platform.Options{Cluster: "uk", Options: happyrobot.Options{APIKey: key}})
	require.ErrorContains(t, err, "cluster: must be us or eu")
	c, err := platform.New(platform.Options{Cluster: "uk", Options: happyrobot.Options{APIKey: key, BaseURL: "https://proxy.example/api/v2/"}})
	require.NoError(t, err, "the base URL has precedence")
	assert.Equal(t, "https://proxy.example/api/v2", c.BaseURL())
}

func TestAKeyIsSentOverHTTPSOrOnTheLoopbackInterfaceAlone(t *testing.T) {
	for _, base := range []string{"http://localhost:1/api/v2", "http://127.0.0.1:1", "http://127.9.9.9", "http://[::1]:1", "https://platform.example"} {
		_, err := platform.New(platform.Options{Options: happyrobot.Options{APIKey: key, BaseURL: base}})
		require.NoError(t, err, base)
		_, err = platform.NewHook(base+"/hooks/slug", platform.Options{Options: happyrobot.Options{APIKey: key}})
		require.NoError(t, err, base)
	}
	for _, base := range []string{
		"http://platform.happyrobot.ai/api/v2", "HTTP://platform.example", "http://10.0.0.1", "http://127.0.0.1.example", "http://localhost.example",
		"ftp://localhost", "platform.example", "https://", "https://user:pw@platform.example", "https://platform.example?x=y", "https://platform.example#x", "://", "",
	} {
		if base != "" { // the default
			_, err := platform.New(platform.Options{Options: happyrobot.Options{APIKey: key, BaseURL: base}})
			require.ErrorContains(t, err, "base_url: must be", base)
			assert.NotContains(t, err.Error(), "api/v1", base)
		}
		_, err := platform.NewHook(base+"/hooks/slug", platform.Options{Options: happyrobot.Options{APIKey: key}})
		require.ErrorContains(t, err, "hook url: must be", base)
	}
}

func TestAnErrorNamesTheOption(t *testing.T) {
	for want, opts := range map[string]happyrobot.Options{
		"api_key: ": {APIKey: "Bearer secret-word"},
		"headers: ": {APIKey: key, Headers: map[string]string{"Authorization": "secret-word"}},
	} {
		_, err := platform.New(platform.Options{Options: opts})
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "secret-word")
	}
}

// everyRead are all reads that have an object, which an API may answer with anything.
func everyRead(ctx context.Context, c *platform.Client) map[string]func() error {
	first := func(err error) error { return err }
	return map[string]func() error{
		"getRun":               func() error { _, err := c.GetRun(ctx, runID); return err },
		"listRuns":             func() error { _, err := c.ListRunsPage(ctx, workflowID, platform.RunQuery{}); return err },
		"listRunNodes":         func() error { _, err := c.ListRunNodes(ctx, runID, ""); return err },
		"getRunOutput":         func() error { _, err := c.GetRunOutput(ctx, runID, extractID); return err },
		"listRunRecordings":    func() error { _, err := c.ListRecordings(ctx, runID, 0); return err },
		"getSession":           func() error { _, err := c.GetSession(ctx, sessionID); return err },
		"getWorkflow":          func() error { _, err := c.GetWorkflow(ctx, workflowID); return err },
		"listVersionNodes":     func() error { _, err := c.ListVersionNodes(ctx, versionID); return err },
		"getRunCredits":        func() error { _, err := c.GetRunCredits(ctx, runID); return err },
		"getUsageTotals":       func() error { _, err := c.GetUsage(ctx, time.Now(), time.Now()); return err },
		"describeApiKey":       func() error { _, err := c.DescribeKey(ctx); return err },
		"listRunSessions":      func() error { _, err := collect(c.ListRunSessions(ctx, runID)); return first(err) },
		"listSessionMessages":  func() error { _, err := collect(c.ListMessages(ctx, sessionID)); return first(err) },
		"listWorkflowSessions": func() error { _, err := collect(c.ListWorkflowSessions(ctx, workflowID, "")); return first(err) },
		"listSessionsByCaller": func() error {
			_, err := collect(c.ListSessionsByCaller(ctx, "+14155550100", time.Time{}))
			return first(err)
		},
	}
}

// collect takes all of a list, up to its error.
func collect[T any](list func(func(T, error) bool)) (items []T, err error) {
	for item, failed := range list {
		if failed != nil {
			return items, failed
		}
		items = append(items, item)
	}
	return items, nil
}

// offline is a client whose every request is answered alike.
func offline(t testing.TB, a answer) *platform.Client {
	t.Helper()
	c, err := platform.New(platform.Options{Options: happyrobot.Options{
		BaseURL: "https://api.example", APIKey: key, Transport: fixed(a), Retry: happyrobot.Retry{InitialInterval: 1, MaxInterval: 2, MaxElapsedTime: 1},
	}})
	require.NoError(t, err)
	return c
}

type fixed answer

func (f fixed) RoundTrip(req *http.Request) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	for name, value := range f.header {
		header.Set(name, value)
	}
	status := f.status
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Header: header, Body: closer{strings.NewReader(f.body)}, ContentLength: -1, Request: req}, nil
}

type closer struct{ *strings.Reader }

func (closer) Close() error { return nil }

func TestARedirectIsAWrongSetupThatIsNamed(t *testing.T) {
	login := answer{status: http.StatusTemporaryRedirect, header: map[string]string{"Location": "https://platform.example/login?next=secret&signature=secret"}}
	c := offline(t, login)
	for op, read := range everyRead(t.Context(), c) {
		err := read()
		assert.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(err), op)
		require.ErrorContains(t, err, "https://platform.example/login", op)
		assert.NotContains(t, err.Error(), "secret", op)
	}
	_, err := c.CancelRun(t.Context(), runID)
	assert.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(err))
	_, err = c.Trigger(t.Context(), "reminders", start(t))
	assert.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(err))
	look := c.SecondLook(t.Context(), "reminders", "", err)
	assert.Equal(t, platform.FoundOtherHost, look.Finding)
	assert.Contains(t, look.Text, "never followed")
}

func TestWhatIsNotAnsweredIsReadAgain(t *testing.T) {
	for name, failed := range map[string]answer{
		"429": {status: 429}, "500": {status: 500}, "502 with a page": {status: 502, body: "<html>", header: map[string]string{"Content-Type": "text/html"}},
		"503": {status: 503}, "408": {status: 408}, "a page": {body: "<html>", header: map[string]string{"Content-Type": "text/html"}},
		"cut short": {body: `{"id":"`}, "nothing": {}, "another run": {body: `{"id":"00000000-0000-7006-8000-000000000002","status":"completed"}`},
		"neither id nor status": {body: `{}`}, "a list": {body: `[]`}, "null": {body: "null"},
	} {
		a, c := script(t, map[string][]answer{"GET /runs/" + runID: {failed, failed, {body: example(t, "run.get.completed")}}}, func(o *platform.Options) { o.Retry.MaxElapsedTime = 0 })
		run, err := c.GetRun(t.Context(), runID)
		require.NoError(t, err, name)
		assert.Equal(t, platform.RunCompleted, run.Status, name)
		assert.Len(t, a.requests(), 3, name)
	}
}

func TestAnAnswerAboutAnotherObjectIsRefused(t *testing.T) {
	const other = `"00000000-0000-70ff-8000-0000000000ff"`
	id := func(member string) answer {
		return answer{body: `{"data":[{"` + member + `":` + other + `}],"pagination":{}}`}
	}
	object := func(body string) answer { return answer{body: body} }
	for op, a := range map[string]answer{
		"getRun":              object(`{"id":` + other + `,"status":"completed"}`),
		"getSession":          object(`{"id":` + other + `,"status":"completed"}`),
		"getWorkflow":         object(`{"id":` + other + `,"slug":"other"}`),
		"getRunOutput":        object(`{"data":{"id":"` + extractID + `","run_id":` + other + `,"data":{}}}`),
		"getRunCredits":       object(`{"run_id":` + other + `,"total_credits":1}`),
		"listRunNodes":        id("run_id"),
		"listRunSessions":     id("run_id"),
		"listSessionMessages": id("session_id"),
	} {
		c := offline(t, a)
		err := everyRead(t.Context(), c)[op]()
		assert.Equal(t, happyrobot.ClassUnreadable, happyrobot.ClassOf(err), op)
		require.ErrorContains(t, err, "about another object", op)
	}
	c := offline(t, object(`{"data":{"id":`+other+`,"run_id":"`+runID+`","data":{}}}`))
	_, err := c.GetRunOutput(t.Context(), runID, extractID)
	require.ErrorContains(t, err, "about another object")
	c = offline(t, object(`{"data":{"id":"`+strings.ToUpper(extractID)+`","run_id":"`+runID+`","data":{}}}`))
	_, err = c.GetRunOutput(t.Context(), runID, extractID)
	require.NoError(t, err, "ids are the same in either case")
	c = offline(t, object(`{"id":`+other+`}`))
	_, err = c.GetWorkflow(t.Context(), workflowID)
	require.ErrorContains(t, err, "about another object", "a slug that is missing excuses no id")
	_, err = c.GetWorkflow(t.Context(), "reminders")
	require.NoError(t, err, "which nothing contradicts")
	for _, body := range []string{`{"status":"completed"}`, `{"id":null,"status":"completed"}`, `{"id":"` + strings.ToUpper(runID) + `"}`, `{"data":{"id":"` + runID + `"}}`} {
		c := offline(t, object(body))
		run, err := c.GetRun(t.Context(), runID)
		require.NoError(t, err, body)
		assert.Equal(t, runID, run.ID, body)
	}
}

func TestAnIDThatLeadsElsewhereIsNotSent(t *testing.T) {
	a, c := script(t, nil, nil)
	for _, id := range []string{"", ".", "..", "a/b", "a b", "a%2Fb", "a?b", "a#b", `a\b`, "a,b", "a\n", "a\u200b"} {
		var field *happyrobot.FieldError
		_, err := c.GetRun(t.Context(), id)
		require.ErrorAs(t, err, &field, "%q", id)
		assert.Equal(t, "path.run_id", field.Field)
		_, err = c.Trigger(t.Context(), id, start(t))
		require.ErrorAs(t, err, &field, "%q", id)
		_, err = c.ListRunNodes(t.Context(), id, "")
		require.ErrorAs(t, err, &field, "%q", id)
		_, err = c.GetRunOutput(t.Context(), runID, id)
		require.ErrorAs(t, err, &field, "%q", id)
		_, err = c.CancelRun(t.Context(), id)
		require.ErrorAs(t, err, &field, "%q", id)
		_, err = collect(c.ListRuns(t.Context(), id, platform.RunQuery{}))
		require.ErrorAs(t, err, &field, "%q", id)
	}
	assert.Empty(t, a.requests())
}

func TestErrorsHoldNothingOfALead(t *testing.T) {
	payload := `{"phone_number":"+14155550100","customer_name":"Ada Lovelace-Example","note":"gate code blue walrus","callback_url":"https://x.example/cb?token=tok-12345678"}`
	echo, err := json.Marshal(map[string]any{"error": "cannot start with " + payload + " and " + key, "url": "https://storage.example/rec.mp3?expires=1&signature=sig-1234567890"})
	require.NoError(t, err)
	for _, status := range []int{400, 403, 404, 422, 429, 500, 502} {
		for _, body := range []string{string(echo), "<html>" + string(echo) + "</html>"} {
			c := offline(t, answer{status: status, body: body})
			_, err := c.Trigger(t.Context(), "reminders", platform.Trigger{Payload: json.RawMessage(payload)})
			var e *happyrobot.Error
			require.ErrorAs(t, err, &e)
			look := c.SecondLook(t.Context(), "reminders", "", err)
			for _, words := range []string{err.Error(), e.Body, e.Message, look.Text} {
				for _, secret := range []string{"4155550100", "Lovelace", "walrus", "tok-1234", key, "sig-1234567890"} {
					assert.NotContains(t, words, secret, "%d", status)
				}
			}
		}
	}
}

func TestANumberSearchedForIsInNoError(t *testing.T) {
	c := offline(t, answer{status: 500, body: `{"error":"no contact for +14155550100"}`})
	_, err := collect(c.ListSessionsByCaller(t.Context(), "+14155550100", time.Time{}))
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "4155550100")
}
