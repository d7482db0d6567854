package contract

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/content"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

const (
	platformDescription = "../../resources/openapi/happyrobot-v2.openapi.yaml"
	platformBase        = "/api/v2"
	legacyBase          = "/api/v1"
	flowID              = "00000000-0000-7002-8000-000000000001"
	versionID           = "00000000-0000-7003-8000-000000000001"
	orgID               = "00000000-0000-7001-8000-000000000001"
	noSuchUUID          = "ffffffff-ffff-4fff-8fff-ffffffffffff"
)

// openMembers are those below which any name may stand: the validator would take it for a
// misspelt one.
var openMembers = []string{
	"$.body.payload.*", "$.body.phone_number", "$.body.dial_ref", "$.body.list", // of hooks, whose body is the payload
	"$.body.data[*].data**", "$.body.data.data.**", "$.body.data.input.*", "$.body[*].data**", "$.body.edges[*].*",
	"$.body.components[*].*", "$.body.rows[*].*", "$.body.fields[*].*", "$.body.extracted_attributes.*",
	// Of errors, whose details are anything.
	"$.body.details[*].*",
}

// loadPlatform reads the platform's description once.
var loadPlatform = sync.OnceValues(func() (*contract, error) {
	spec, err := os.ReadFile(platformDescription)
	if err != nil {
		return nil, err
	}
	doc, err := libopenapi.NewDocument(spec)
	if err != nil {
		return nil, err
	}
	model, err := doc.BuildV3Model()
	if err != nil {
		return nil, err
	}
	c := &contract{
		routes: http.NewServeMux(), operations: map[string]string{}, webhooks: map[string]*base.Schema{},
		schemas: schema_validation.NewSchemaValidator(config.WithFormatAssertions()),
		// The validator takes all of the query for the object that one of its parameters is.
		unjudged: map[string]bool{"legacyListRuns": true},
	}
	for name, item := range model.Model.Webhooks.FromOldest() {
		c.webhooks[name] = item.Post.RequestBody.Content.GetOrZero("application/json").Schema.Schema()
	}
	for path, item := range model.Model.Paths.PathItems.FromOldest() {
		prefix := platformBase
		if len(item.Servers) > 0 { // the validator knows no servers of a path
			prefix = strings.TrimPrefix(item.Servers[0].URL, "https://platform.happyrobot.ai")
			prefix = strings.TrimPrefix(prefix, "https://workflows.platform.happyrobot.ai")
		}
		if strings.HasSuffix(path, "/") {
			path += "{$}"
		}
		for method, op := range item.GetOperations().FromOldest() {
			pattern := strings.ToUpper(method) + " " + prefix + path
			c.routes.Handle(pattern, http.NotFoundHandler())
			c.operations[pattern] = op.OperationId
		}
	}
	c.validator = validator.NewValidatorFromV3Model(&model.Model,
		config.WithFormatAssertions(), config.WithContentAssertions(),
		config.WithRejectUndeclaredRequestBody(), config.WithRejectUnsupportedBodyContent(),
		config.WithBodyDecoder("text/event-stream", content.DecoderFunc(func(in *content.DecodeInput) (any, error) {
			b, err := io.ReadAll(in.Body)
			return string(b), err
		})),
		config.WithStrictMode(), config.WithStrictIgnorePaths(openMembers...))
	c.validator.SetDocument(doc)
	return c, nil
})

// legacy lets the validator find the operation of the platform's own v1, whose server
// stands at its path.
func legacy(req *http.Request) {
	if req.URL.Path == legacyBase+"/runs" {
		req.URL.Path = platformBase + "/runs"
	}
}

// servePlatform puts a pretend platform behind a witness. It answers with its address.
func servePlatform(t *testing.T, opts platform.Options) (*witness, *platform.Sim, string) {
	t.Helper()
	c, err := loadPlatform()
	require.NoError(t, err)
	opts.APIKey = key
	sim := platform.New(opts)
	t.Cleanup(sim.Close)
	w := &witness{contract: c, api: sim}
	srv := httptest.NewServer(w)
	t.Cleanup(srv.Close)
	return w, sim, srv.URL
}

func TestThePretendPlatformAnswersEveryOperationAsDescribed(t *testing.T) {
	w, sim, host := servePlatform(t, platform.Options{Seed: 7, Visibility: -1, Workflows: []platform.Workflow{
		{Slug: "reminders", Environments: []string{platform.Production, platform.Staging}}, {Slug: "second", Trigger: platform.PredefinedRequest, MultiEvent: platform.Group},
	}})
	// Runs of every outcome, at every age: each is asked for everything that it may have.
	for _, outcome := range []string{"completed", "busy", "missed", "voicemail", "failed", "canceled"} {
		sim.Decide("", platform.Fate{Sessions: []string{"missed", outcome}})
		for _, flow := range []string{"reminders", "second"} {
			for range 2 {
				ask(t, "POST", host+platformBase+"/workflows/"+flow+"/runs", `{"payload":{"phone_number":"+12025550101","dial_ref":"r1","list":[1]},"environment":"production"}`)
			}
		}
	}
	ask(t, "POST", host+platformBase+"/workflows/reminders/runs", `{"payload":{"phone_number":"no number"}}`)
	for _, advance := range []string{"", "3s", "10s", "30s", "20s", "40s", "6s", "1h"} {
		if advance != "" {
			sim.Advance(parse(t, advance))
		}
		for _, run := range sim.Runs() {
			at := host + platformBase + "/runs/" + run.ID
			for _, part := range []string{"", "/sessions", "/nodes", "/recordings", "/nodes?sort=desc&node_persistent_id=00000000-0000-7004-8000-000000000002"} {
				status, body := ask(t, "GET", at+part, "")
				assert.Equal(t, http.StatusOK, status, body)
			}
		}
		for _, query := range []string{"", "?status=scheduled&page_size=1", "?sort=asc&page=2&page_size=3", "?completed_start_date=2026-01-01T00:00:00Z&is_e2e_test=false"} {
			status, body := ask(t, "GET", host+platformBase+"/workflows/reminders/runs"+query, "")
			assert.Equal(t, http.StatusOK, status, body)
		}
	}

	found := map[string]string{}
	for _, run := range sim.Runs() {
		if run.Outcome == "completed" && run.Workflow == "reminders" {
			found["run"] = run.ID
		}
	}
	_, nodes := ask(t, "GET", host+platformBase+"/runs/"+found["run"]+"/nodes", "")
	outputs := uuids(nodes, "output_id")
	_, sessions := ask(t, "GET", host+platformBase+"/runs/"+found["run"]+"/sessions?sort=desc", "")
	session := uuids(sessions, "id")[0]
	require.Len(t, outputs, 3, "the trigger, the voice agent, the extraction")
	for _, output := range outputs {
		status, body := ask(t, "GET", host+platformBase+"/runs/"+found["run"]+"/outputs/"+output, "")
		assert.Equal(t, http.StatusOK, status, body)
	}
	for _, op := range []struct{ method, path, body, wants string }{
		{"GET", "/api-key/describe", "", "expiresAt"},
		{"GET", "/billing/usage/totals?start=2026-01-01T00:00:00Z&end=2099-01-01T00:00:00Z", "", "totalMinutes"},
		{"GET", "/billing/usage/runs/" + found["run"], "", `"unit":"credits"`},
		{"GET", "/phone-numbers/", "", "+12025550150"},
		{"GET", "/workflows/?search=remind&page_size=100", "", "reminders"},
		{"GET", "/workflows/reminders", "", flowID},
		{"GET", "/workflows/" + flowID, "", "latest_version"},
		{"GET", "/versions/" + versionID + "/nodes", "", "multi_event_behavior"},
		{"POST", "/workflows/reminders/runs?environment=staging", `{"payload":{"phone_number":"+12025550102"}}`, ""},
		{"GET", "/workflows/reminders/sessions?page_size=100&sort=asc", "", session},
		{"GET", "/sessions/?caller_id=%2B12025550101&sort=desc", "", session},
		{"GET", "/sessions/" + session, "", `"status":"completed"`},
		{"GET", "/sessions/" + session + "/messages?page_size=100", "", "user_joined"},
		{"GET", "/sessions/" + session + "/stream?backfillLimit=100", "", "session_ended"},
		{"GET", "/contacts/resolve?type=phone_number&value=%2B12025550101", "", "contact_summary"},
		{"POST", "/twin/sql", `{"sql":"select 1"}`, `"truncated":false`},
		{"POST", "/workflows/second/cancel-runs", `{"unpublish_workflow":false}`, `"workflow_toggle_result":null`},
		{"POST", "/workflows/second/cancel-runs", "", `"success":true`},
	} {
		status, body := ask(t, op.method, host+platformBase+op.path, op.body)
		assert.Equal(t, http.StatusOK, status, "%s %s: %s", op.method, op.path, body)
		assert.Contains(t, body, op.wants, "%s %s", op.method, op.path)
	}
	for _, path := range []string{"/hooks/reminders", "/hooks/staging/reminders"} {
		status, body := ask(t, "POST", host+path, `{"phone_number":"+12025550103"}`)
		assert.Equal(t, http.StatusOK, status, body)
	}
	runs := sim.Runs()
	status, body := ask(t, "POST", host+platformBase+"/runs/"+runs[len(runs)-1].ID+"/cancel", "")
	assert.Equal(t, http.StatusOK, status, body)
	legacyRuns := host + legacyBase + "/runs?use_case_id=" + flowID + "&limit=2"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, legacyRuns, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("x-organization-id", orgID)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, res.StatusCode)
	require.NoError(t, res.Body.Close())

	answered := w.keeps(t)
	for pattern, operation := range w.contract.operations {
		assert.Positive(t, answered[operation], "%s (%s) was not tried", operation, pattern)
	}
	assert.Len(t, slices.Collect(maps.Keys(w.contract.operations)), 26)
}

func TestThePretendPlatformRefusesAsDescribed(t *testing.T) {
	w, sim, host := servePlatform(t, platform.Options{Seed: 7, Workflows: []platform.Workflow{{Slug: "reminders"}, {Slug: "function", Trigger: platform.FunctionRequest}}})
	ids, err := sim.Arrive(platform.Arrival{Ago: platform.Duration(parse(t, "1h"))})
	require.NoError(t, err)
	const payload = `{"payload":{}}`
	for _, op := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/workflows/none", "", 404}, {"GET", "/workflows/none/runs", "", 404}, {"POST", "/workflows/none/runs", payload, 404},
		{"POST", "/workflows/function/runs", payload, 404}, {"POST", "/workflows/reminders/runs", `{"payload":{},"environment":"staging"}`, 404},
		{"GET", "/runs/" + noSuchUUID, "", 404}, {"GET", "/runs/" + noSuchUUID + "/sessions", "", 404}, {"GET", "/runs/" + noSuchUUID + "/nodes", "", 404},
		{"GET", "/runs/" + noSuchUUID + "/outputs/" + noSuchUUID, "", 404}, {"GET", "/runs/" + noSuchUUID + "/recordings", "", 404},
		{"POST", "/runs/" + noSuchUUID + "/cancel", "", 404}, {"POST", "/runs/" + ids[0] + "/cancel", "", 400},
		{"GET", "/sessions/" + noSuchUUID, "", 404}, {"GET", "/sessions/" + noSuchUUID + "/messages", "", 404}, {"GET", "/sessions/" + noSuchUUID + "/stream", "", 404},
		{"GET", "/sessions/?caller_id=%2B12025550199", "", 404}, {"GET", "/contacts/resolve?type=email&value=a@example.com", "", 404},
		{"GET", "/versions/none/nodes", "", 404}, {"GET", "/billing/usage/runs/" + noSuchUUID, "", 404},
	} {
		status, body := ask(t, op.method, host+platformBase+op.path, op.body)
		assert.Equal(t, op.status, status, "%s %s: %s", op.method, op.path, body)
	}
	w.keeps(t)
}

// What breaks the description is refused: these requests would not pass the contract.
func TestThePretendPlatformRefusesWhatIsNotDescribed(t *testing.T) {
	w, sim, host := servePlatform(t, platform.Options{Seed: 7, Visibility: -1, Workflows: []platform.Workflow{{Slug: "reminders"}}})
	ids, err := sim.Arrive(platform.Arrival{})
	require.NoError(t, err)
	run := "/runs/" + ids[0]
	for _, op := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/workflows/reminders/runs?page_size=2001", "", 400}, {"GET", "/workflows/reminders/runs?page=0", "", 400},
		{"GET", "/workflows/reminders/runs?status=succeeded", "", 400}, {"GET", "/workflows/reminders/runs?status=running,failed", "", 400},
		{"GET", "/workflows/reminders/runs?from=2026-01-01T00:00:00Z", "", 400},
		{"GET", "/workflows/reminders/sessions?page_size=101", "", 400}, {"GET", run + "/sessions?page_size=101", "", 400}, {"GET", run + "?x=1", "", 400},
		{"GET", run + "/nodes?node_persistent_id=trigger", "", 422}, {"GET", run + "/outputs/first", "", 422}, {"GET", run + "/recordings?url_expires_in_days=8", "", 400},
		{"POST", "/workflows/reminders/runs", `{"phone_number":"+12025550101"}`, 400}, {"POST", "/workflows/reminders/runs", `{"payload":[]}`, 400},
		{"POST", "/workflows/reminders/runs", `{"payload":{},"environment":"prod"}`, 400}, {"POST", "/workflows/reminders/runs", `{"payload":{},"env":"staging"}`, 400},
		{"POST", "/workflows/reminders/cancel-runs", `{"unpublish":false}`, 400}, {"GET", "/sessions/", "", 400}, {"GET", "/contacts/resolve?phone_number=1", "", 400},
		{"GET", "/billing/usage/totals", "", 400}, {"POST", "/twin/sql", `{"query":"select 1"}`, 400},
	} {
		status, body := ask(t, op.method, host+platformBase+op.path, op.body)
		assert.Equal(t, op.status, status, "%s %s: %s", op.method, op.path, body)
		last := w.seen[len(w.seen)-1]
		assert.NotEmpty(t, last.request, "%s %s %s: the description knows it", op.method, op.path, op.body)
	}
	assert.Len(t, sim.Runs(), 1)
	// The description has it in words only.
	status, body := ask(t, "GET", host+platformBase+"/workflows/reminders/runs?start_date=2026-01-01T00:00:00%2B01:00", "")
	assert.Equal(t, 400, status, body)
}

// uuids are the ids under a name in an answer, in order.
func uuids(body, name string) (ids []string) {
	for _, part := range strings.Split(body, `"`+name+`":"`)[1:] {
		ids = append(ids, part[:36])
	}
	return ids
}

// A contract that nothing can break proves nothing.
func TestThePlatformsContractCanBeBroken(t *testing.T) {
	c, err := loadPlatform()
	require.NoError(t, err)
	const good = `{"data":[],"pagination":{"page":1,"pageSize":100,"totalPages":0,"totalRecords":0,"hasNextPage":false,"hasPreviousPage":false}}`
	answer := func(path, body string) exchange {
		req := httptest.NewRequest(http.MethodGet, platformBase+path, nil)
		req.Header.Set("Authorization", "Bearer "+key)
		rec := httptest.NewRecorder()
		rec.Header().Set("Content-Type", "application/json")
		_, _ = rec.WriteString(body)
		return c.judge(req, rec.Result())
	}
	assert.Empty(t, answer("/workflows/reminders/runs", good).answer)
	for name, bad := range map[string]string{
		"no members": `{}`, "a bare list": `[]`, "snake_case": strings.ReplaceAll(good, "pageSize", "page_size"), "one more": strings.Replace(good, `"data"`, `"runs":[],"data"`, 1),
		"a row without an id": strings.Replace(good, `[]`, `[{"status":"completed"}]`, 1), "no JSON": `<html>`,
	} {
		x := answer("/workflows/reminders/runs", bad)
		assert.Empty(t, x.request, name)
		assert.NotEmpty(t, x.answer, name)
	}
	assert.NotEmpty(t, answer("/nowhere", good).request)
}
