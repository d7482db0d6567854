package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

const (
	useCaseID = "64f0c0de00000000000000b1"
	agentID   = "64f0c0de00000000000000d1"
	numberID  = "64f0c0de00000000000000c1"
	userID    = "64f0c0de00000000000000e1"
	noSuchID  = "ffffffffffffffffffffffff"
)

// ask makes a request and gives its answer.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, r)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+key)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

func TestThePretendAPIAnswersEveryOperationAsDescribed(t *testing.T) {
	w, sim, url := serve(t, callsim.Options{Seed: 7})
	var talked callsim.CallRecord // the last call placed one by one: only a talk has a recording
	for talked.EndsAs != "Completed" {
		status, body := ask(t, "POST", url+"/dial/outbound", `{"number_id":"`+numberID+`","phone_number":"+12025550101","language":"en-GB","metadata":{}}`)
		require.Equal(t, http.StatusOK, status, body)
		placed := sim.Calls()
		talked = placed[len(placed)-1]
	}
	_, err := sim.Arrive(callsim.Arrival{Count: 2, Call: json.RawMessage(`{"metadata":{"source":"inbound"},"agent_id":"` + agentID + `","prompt_id":"p1"}`)})
	require.NoError(t, err)
	sim.Advance(time.Hour)
	total := len(sim.Calls()) + 3
	call := "/calls/" + talked.ID
	note := `{"content":"Gate code is on file.","flagged":true}`

	for _, op := range []struct {
		method, path, body string
		wants              string // in the answer
	}{
		{"POST", "/dial/outbound-batched", `[{"number_id":"` + numberID + `","phone_number":"+12025550102"}]`, "+12025550102"},
		{"POST", "/dial/scheduled", `{"number_id":"` + numberID + `","use_case_id":"` + useCaseID + `","campaign_name":"spring","calls":[
			{"phone_number":"+12025550103","scheduled_date":"2099-01-02","scheduled_time":"03:04:05","timezone":"UTC","slot":"10:00"},{"phone_number":"+12025550104"}]}`, `"slot":"10:00"`},
		{"GET", "/calls?limit=2&sort=asc", "", fmt.Sprintf(`"count":%d`, total)},
		{"GET", "/calls?campaigns=spring&use_cases=" + useCaseID, "", `"campaign_id":"spring"`},
		{"GET", "/calls?type=Inbound", "", `"type":"Inbound"`},
		{"GET", "/calls?models=Robust&tags=a,b&ratings=c&transfer_contact_email=d", "", `"count":0`},
		{"GET", "/calls/current-page?callId=" + talked.ID + "&limit=2", "", `{"currentPage":3}`},
		{"GET", "/calls/tags", "", "[]"},
		{"POST", "/calls/export", `{"type":"Outbound"}`, "accepted"},
		{"GET", call, "", "+12025550101"},
		{"GET", call + "/transcript", "", `"messages"`},
		{"GET", call + "/recording", "", `"url"`},
		{"GET", call + "/logs", "", "event"},
		{"POST", call + "/notes", note, "Gate code"},
		{"POST", call + "/notes", `{"id":"mine","content":"Second"}`, "Second"},
		{"PATCH", call + "/notes/note-1", `{"content":"Gate is open."}`, "Gate is open."},
		{"DELETE", call + "/notes/mine", "", "Gate is open."},
		{"PATCH", call + "/ratings", `{"emoji":"✅","email":"reviewer@example.com","created":"2025-03-10T14:12:00Z","operation":"add"}`, ""},
		{"PATCH", call + "/viewed", `{"email":"reviewer@example.com"}`, `"viewed_by":["reviewer@example.com"]`},
		{"POST", call + "/stop", "", "status"},
		{"POST", call + "/cancel", "", "status"},
		{"GET", "/usage?timeframe=weekly", "", fmt.Sprintf(`"callCount":%d`, total)},
		{"GET", "/use-cases", "", useCaseID},
		{"POST", "/use-cases", `{"name":"Second","language":"de-DE","hooks":[{"url":"https://hooks.example.com/2","headers":[]}]}`, "Second"},
		{"PATCH", "/use-cases/" + useCaseID, `{"name":"Renamed","amd_behavior":"Hangup"}`, "Renamed"},
		{"GET", "/use-cases/" + useCaseID, "", "Renamed"},
		{"GET", "/agents", "", "Kim"},
		{"POST", "/agents", "", "New agent"},
		{"POST", "/agents", `{"name":"Lee","languages":["german"]}`, "Lee"},
		{"PATCH", "/agents/" + agentID, `{"voice_id":"voice-2"}`, "voice-2"},
		{"GET", "/numbers", "", "+12025550150"},
		{"POST", "/numbers", `{"area_code":"202"}`, "+1202"},
		{"PATCH", "/numbers/" + numberID, `{"use_case_id":"` + useCaseID + `","agent_routes":[{"id":"` + agentID + `","probability":100}]}`, agentID},
		{"PATCH", "/numbers/" + numberID + "/title", `{"title":"Deliveries"}`, "Deliveries"},
		{"GET", "/numbers/" + numberID, "", "Deliveries"},
		{"PATCH", "/member", `{"email":"reviewer@example.com","role":"Viewer"}`, "Viewer"},
		{"DELETE", "/member", `{"email":"reviewer@example.com"}`, `"members":[]`},
		{"PATCH", "/user/" + userID, `{"first_name":"Dana"}`, "Dana"},
		{"DELETE", call, "", ""},
	} {
		status, body := ask(t, op.method, url+op.path, op.body)
		assert.Equal(t, http.StatusOK, status, "%s %s: %s", op.method, op.path, body)
		assert.Contains(t, body, op.wants, "%s %s", op.method, op.path)
	}

	answered := w.keeps(t)
	for pattern, operation := range w.contract.operations {
		assert.Positive(t, answered[operation], "%s (%s) was not tried", operation, pattern)
	}
	assert.Len(t, sim.Calls(), total, "every call placed, and no other, is in the ground truth")
}

func TestThePretendAPIRefusesAsDescribed(t *testing.T) {
	w, _, url := serve(t, callsim.Options{Seed: 7})
	for _, op := range []struct{ method, path, body string }{
		{"GET", "/calls/" + noSuchID, ""}, {"GET", "/calls/" + noSuchID + "/transcript", ""}, {"DELETE", "/calls/" + noSuchID, ""},
		{"POST", "/calls/" + noSuchID + "/notes", `{"content":"x"}`}, {"PATCH", "/calls/" + noSuchID + "/viewed", `{"email":"a@example.com"}`},
		{"GET", "/calls/current-page?callId=" + noSuchID, ""}, {"GET", "/use-cases/" + noSuchID, ""}, {"GET", "/numbers/" + noSuchID, ""},
		{"PATCH", "/agents/" + noSuchID, `{"name":"x"}`}, {"PATCH", "/user/" + noSuchID, `{}`}, {"PATCH", "/member", `{"email":"a@example.com","role":"Viewer"}`},
	} {
		status, _ := ask(t, op.method, url+op.path, op.body)
		assert.Equal(t, http.StatusNotFound, status, "%s %s", op.method, op.path)
	}
	for _, query := range []string{"limit=0", "limit=2000", "from=yesterday", "statuses=a,,b"} {
		status, _ := ask(t, "GET", url+"/calls?"+query, "")
		assert.Equal(t, http.StatusUnprocessableEntity, status, query)
	}
	status, _ := ask(t, "POST", url+"/dial/scheduled", `{"number_id":"`+numberID+`","calls":[{"phone_number":"5550101"}]}`)
	assert.Equal(t, http.StatusUnprocessableEntity, status)
	w.keeps(t)
}

func TestTheExamplesKeepTheContract(t *testing.T) {
	c := loaded(t)
	for file, at := range map[string]string{
		"call.completed.json": "GET /calls/" + noSuchID, "call.no-answer.json": "GET /calls/" + noSuchID, "call.transferred.json": "GET /calls/" + noSuchID,
		"calls.list.json": "GET /calls", "transcript.tool-calls.json": "GET /calls/" + noSuchID + "/transcript",
		"outbound-batched.response.json": "POST /dial/outbound-batched",
	} {
		example, err := os.ReadFile("../../plugin/happyrobot/testdata/" + file)
		require.NoError(t, err)
		request := []byte(nil)
		if method, _, _ := strings.Cut(at, " "); method == "POST" {
			request = []byte(`[{"number_id":"` + numberID + `","phone_number":"+12025550101"}]`)
		}
		x := c.exchange(at, request, example)
		assert.Empty(t, slices.Concat(x.request, x.answer), file)
	}
}

// A contract that nothing can break proves nothing.
func TestTheContractCanBeBroken(t *testing.T) {
	c := loaded(t)
	const dial, good = "POST /dial/outbound-batched", `[{"number_id":"` + numberID + `","phone_number":"+12025550101"}]`
	for name, bad := range map[string]string{
		"no number": `[{"number_id":"` + numberID + `"}]`, "a short id": `[{"number_id":"c1","phone_number":"+12025550101"}]`,
		"no list": `{"number_id":"` + numberID + `","phone_number":"+12025550101"}`, "an unknown language": strings.Replace(good, "}", `,"language":"xx"}`, 1),
		"a misspelt member": strings.Replace(good, "}", `,"schedule_for":"2030-01-01T00:00:00Z"}`, 1), "no moment": strings.Replace(good, "}", `,"scheduled_for":"soon"}`, 1),
	} {
		assert.NotEmpty(t, c.exchange(dial, []byte(bad), []byte(`[]`)).request, name)
	}
	for name, bad := range map[string]string{"no members": `[{}]`, "no list": `{}`, "no JSON": `<html>`} {
		x := c.exchange(dial, []byte(good), []byte(bad))
		assert.Empty(t, x.request, name)
		assert.NotEmpty(t, x.answer, name)
	}
	assert.NotEmpty(t, c.exchange("GET /calls?limit=many", nil, []byte(`{"calls":[],"count":0,"limit":1,"offset":0}`)).request)
	assert.NotEmpty(t, c.exchange("GET /calls", nil, []byte(`{"call":[],"count":0,"limit":1,"offset":0}`)).answer)
	assert.NotEmpty(t, c.exchange("GET /elsewhere", nil, nil).request)
}

// exchange judges a request and its answer that never passed a wire.
func (c *contract) exchange(at string, request, answer []byte) exchange {
	method, path, _ := strings.Cut(at, " ")
	req := httptest.NewRequest(method, "/api/v1"+path, bytes.NewReader(request))
	req.Header.Set("Authorization", "Bearer "+key)
	if request != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/json")
	_, _ = rec.Write(answer)
	return c.judge(req, rec.Result())
}
