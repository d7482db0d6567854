package callsim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func TestCallsShowWhatWasAskedFor(t *testing.T) {
	sim := callsim.New(callsim.Options{})
	status, reply := serve(t, sim, "POST", "/dial/outbound", `{"number_id":"64f0c0de00000000000000c9","phone_number":"+12025550101",
		"use_case_id":"64f0c0de00000000000000b9","agent_id":"64f0c0de00000000000000d9","prompt_id":"p9","language":"de-DE","params":{"slot":"10:00"},
		"metadata":{"order":9007199254740993},"campaign_id":"spring \"24\"","max_duration_mins":9,"scheduled_for":"2099-01-02T03:04:05.5+01:00"}`)
	require.Equal(t, 200, status, reply)
	for _, member := range []string{`"use_case":{"id":"64f0c0de00000000000000b9"`, `"params":{"slot":"10:00"}`, `"custom":{"order":9007199254740993}`} {
		assert.Contains(t, reply, member)
	}
	status, reply = serve(t, sim, "GET", "/calls/"+sim.Calls()[0].ID, "")
	require.Equal(t, 200, status, reply)
	for _, member := range []string{
		`"use_case":{"id":"64f0c0de00000000000000b9"`, `"agent":{"id":"64f0c0de00000000000000d9"`, `"prompt_id":"p9"`, `"language":"de-DE","params":{"slot":"10:00"}`,
		`"custom":{"order":9007199254740993}`, `"campaign_id":"spring \"24\""`, `"max_duration_mins":9`, `"scheduled_for":"2099-01-02T02:04:05.5Z"`,
	} {
		assert.Contains(t, reply, member)
	}
	assert.NotContains(t, reply, `"from":"+12025550150"`, "another number calls")
}

func TestListsAreFiltered(t *testing.T) {
	sim := callsim.New(callsim.Options{Speed: 0.0001})
	dial := func(phone, more string) string {
		_, reply := serve(t, sim, "POST", "/dial/outbound", fmt.Sprintf(`{"number_id":"64f0c0de00000000000000c1","phone_number":%q%s}`, phone, more))
		var c struct{ ID string }
		require.NoError(t, json.Unmarshal([]byte(reply), &c), reply)
		return c.ID
	}
	plain := dial("+12025550101", "")
	spring := dial("+12025550102", `,"campaign_id":"spring"`)
	other := dial("+12025550103", `,"use_case_id":"64f0c0de00000000000000b9","campaign_id":"autumn"`)
	came, err := sim.Arrive(callsim.Arrival{Talk: callsim.Duration(time.Hour), Call: json.RawMessage(`{"phone_number":"+12025550104"}`)})
	require.NoError(t, err)
	talks := came[0]
	sim.Advance(16 * time.Second)
	for query, want := range map[string][]string{
		"":                                   {plain, spring, other, talks},
		"use_cases=64f0c0de00000000000000b9": {other},
		"use_cases=64f0c0de00000000000000b9,64f0c0de00000000000000b1":  {plain, spring, other, talks},
		"campaigns=spring,autumn":                                      {spring, other},
		"campaigns=winter":                                             nil,
		"campaigns=spring&use_cases=64f0c0de00000000000000b9":          nil,
		"type=Inbound":                                                 {talks},
		"type=Outbound&campaigns=spring":                               {spring},
		"search=" + url.QueryEscape("+12025550103"):                    {other},
		"statuses=" + url.QueryEscape("In progress") + "&type=Inbound": {talks},
		"statuses=Scheduled":                                           nil,
		"models=Fast,Balanced":                                         {plain, spring, other, talks},
		"models=Robust":                                                nil,
		"tags=vip":                                                     nil,
	} {
		assert.Equal(t, want, page(t, sim, "sort=asc&"+query), query)
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	sim := callsim.New(callsim.Options{})
	for _, query := range []string{
		"sort=up", "sort=", "type=Sideways", "type=outbound", "limit=0", "limit=2000", "limit=-1", "limit=%2B5", "limit=1e2", "skip=-1", "skip=x",
		"from=yesterday", "to=2025-01-02", "use_cases=", "campaigns=a,,b", "campaign=spring", "page=2", "limit=1&limit=2", "a=%zz",
	} {
		status, reply := serve(t, sim, "GET", "/calls?"+query, "")
		assert.Equal(t, 422, status, "%s: %s", query, reply)
	}
	for _, member := range []string{
		`"language":"xx"`, `"language":1`, `"metadata":null`, `"metadata":[]`, `"campaign_id":7`, `"prompt_id":null`, `"use_case_id":"b1"`, `"agent_id":""`,
		`"max_duration_mins":0`, `"max_duration_mins":1.5`, `"scheduled_for":"soon"`, `"scheduled_for":null`,
	} {
		status, reply := serve(t, sim, "POST", "/dial/outbound", `{"number_id":"64f0c0de00000000000000c1","phone_number":"+12025550101",`+member+`}`)
		assert.Equal(t, 422, status, "%s: %s", member, reply)
	}
	assert.Empty(t, sim.Calls())
}

func TestAWrongMethodIsToldTheRightOnes(t *testing.T) {
	srv := listen(t, callsim.Options{})
	for request, allow := range map[string]string{
		"GET /dial/outbound-batched": "POST", "POST /calls": "GET", "HEAD /calls": "GET", "PUT /calls/64f0c0de0000000000000001": "DELETE, GET",
		"PATCH /use-cases": "GET, POST", "GET /member": "DELETE, PATCH",
	} {
		var method, path string
		_, err := fmt.Sscan(request, &method, &path)
		require.NoError(t, err)
		status, header, _ := ask(t, method, srv.URL+path, "")
		assert.Equal(t, http.StatusMethodNotAllowed, status, request)
		assert.Equal(t, allow, header.Get("Allow"), request)
	}
	status, header, _ := ask(t, "GET", srv.URL+"/nowhere", "")
	assert.Equal(t, http.StatusNotFound, status)
	assert.Empty(t, header.Get("Allow"))
	assert.Equal(t, 7, srv.Sim.RequestsOf("unknown"))
	assert.Equal(t, []callsim.RequestCount{{Operation: "unknown", Status: 404, Count: 1}, {Operation: "unknown", Status: 405, Count: 6}}, srv.Sim.Stats().Requests)
}

func TestACampaignsCallsAreItsOwnAndStaggered(t *testing.T) {
	sim := callsim.New(callsim.Options{Speed: 0.0001})
	const shared = `{"number_id":"64f0c0de00000000000000c1","campaign_name":"spring","staggered_interval_minutes":%s,"calls":[
		{"phone_number":"+12025550101"},{"phone_number":"+12025550102","scheduled_date":"2099-01-02"},{"phone_number":"+12025550103"}]}`
	status, _ := serve(t, sim, "POST", "/dial/scheduled", fmt.Sprintf(shared, `"ten"`))
	assert.Equal(t, 422, status)
	status, reply := serve(t, sim, "POST", "/dial/scheduled", fmt.Sprintf(shared, "10"))
	require.Equal(t, 200, status, reply)
	assert.Len(t, page(t, sim, "campaigns=spring"), 3)
	sim.Advance(19 * time.Minute)
	assert.Equal(t, 2, sim.ByStatus()["Scheduled"])
	sim.Advance(time.Minute)
	assert.Equal(t, 1, sim.ByStatus()["Scheduled"], "that of 2099 has a date of its own")
}
