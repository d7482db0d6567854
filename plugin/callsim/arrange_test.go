package callsim_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func TestInboundCallsComeByThemselves(t *testing.T) {
	srv := listen(t, callsim.Options{Speed: 0.0001})
	host := strings.TrimSuffix(srv.URL, "/api/v1")
	ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(1))
	status, _, reply := ask(t, http.MethodPost, host+"/_sim/calls", `{"count":3,"call":{"metadata":{"lead":"inbound"}}}`)
	require.Equal(t, 200, status, reply)
	var came struct{ IDs []string }
	require.NoError(t, json.Unmarshal([]byte(reply), &came))
	assert.Len(t, came.IDs, 3)
	assert.Equal(t, came.IDs, page(t, srv.Sim, "type=Inbound&sort=asc"))
	_, reply = serve(t, srv.Sim, "GET", "/calls/"+came.IDs[0], "")
	assert.Contains(t, reply, `"type":"Inbound"`)
	assert.Contains(t, reply, `"to":"+12025550150"`, "the organization's number was called")
	assert.Equal(t, map[string]int{"l0": 1, "inbound": 3}, srv.Sim.CallsBy("metadata.lead"))

	srv.Sim.Advance(time.Hour)
	_, _, reply = ask(t, http.MethodGet, host+"/_sim/calls/list", "")
	var truth []callsim.CallRecord
	require.NoError(t, json.Unmarshal([]byte(reply), &truth))
	require.Len(t, truth, 4)
	for i, c := range truth {
		assert.Equal(t, []string{"Outbound", "Inbound", "Inbound", "Inbound"}[i], c.Type)
		assert.True(t, c.Final)
		assert.Equal(t, c.EndsAs, c.Status)
	}
	for _, useless := range []string{`{"type":"Sideways"}`, `{"cuont":3}`, `{"count":-1}`, `{"call":{"phone_number":"202"}}`, `{"call":[]}`, `{"ago":"1h"}`, `{"count":3,"ago":"1s","every":"1s"}`, `{`} {
		status, _, reply = ask(t, http.MethodPost, host+"/_sim/calls", useless)
		assert.Equal(t, 400, status, "%s: %s", useless, reply)
	}
	for _, backwards := range []string{`{"advance":"-1s"}`, `{"advanced":"1s"}`} {
		status, _, _ = ask(t, http.MethodPost, host+"/_sim/clock", backwards)
		assert.Equal(t, 400, status, backwards)
	}
	assert.Len(t, srv.Sim.Calls(), 4)
}

func TestACallsFateCanBeChosen(t *testing.T) {
	sim := callsim.New(callsim.Options{Speed: 0.0001})
	arrive := func(a callsim.Arrival) string {
		ids, err := sim.Arrive(a)
		require.NoError(t, err)
		return ids[0]
	}
	shown := func(id, path string) (reply string) {
		_, reply = serve(t, sim, "GET", "/calls/"+id+path, "")
		return reply
	}
	long := arrive(callsim.Arrival{Talk: callsim.Duration(5 * time.Hour)})
	odd := arrive(callsim.Arrival{Type: "Outbound", During: "Holding", EndsAs: "Voicemail left", Talk: callsim.Duration(time.Minute), Silent: true})
	bare := arrive(callsim.Arrival{Show: map[string]json.RawMessage{"metadata": json.RawMessage("null")}, Omit: []string{"status", "created"}})
	missed := arrive(callsim.Arrival{Talk: -1, EndsAs: "Missed"})
	for range 20 { // whatever would have been drawn
		for want, a := range map[string]callsim.Arrival{"Completed": {Talk: callsim.Duration(time.Minute)}, "No answer": {Talk: -1}} {
			id := arrive(a)
			assert.Equal(t, want, sim.Calls()[len(sim.Calls())-1].EndsAs, id)
		}
	}
	var talked, busy []string
	for range 20 {
		talked, busy = append(talked, arrive(callsim.Arrival{EndsAs: "Transferred"})), append(busy, arrive(callsim.Arrival{EndsAs: "Busy"}))
	}

	sim.Advance(30 * time.Second)
	assert.Contains(t, shown(odd, ""), `"status":"Holding"`)
	sim.Advance(time.Hour)
	assert.Contains(t, shown(odd, ""), `"status":"Voicemail left"`)
	assert.Equal(t, []string{odd}, page(t, sim, "statuses=Voicemail+left"))
	assert.NotContains(t, shown(odd, "/transcript"), "assistant", "it never gets a transcript")
	assert.Contains(t, shown(long, ""), `"status":"In progress"`)
	assert.Contains(t, shown(missed, ""), `"status":"Missed"`)
	assert.NotContains(t, shown(missed, ""), `"duration"`)
	_, listed := serve(t, sim, "GET", "/calls?sort=asc&skip=2&limit=1", "")
	for _, reply := range []string{shown(bare, ""), listed} {
		assert.Contains(t, reply, `"metadata":null`)
	}
	assert.NotContains(t, shown(bare, ""), `"status"`)
	assert.NotContains(t, shown(bare, ""), `"created"`)
	for i := range talked {
		assert.Contains(t, shown(talked[i], ""), `"duration"`)
		assert.NotContains(t, shown(busy[i], ""), `"duration"`)
	}
	sim.Advance(5 * time.Hour)
	assert.Contains(t, shown(long, ""), `"duration":18000`)
	assert.Contains(t, shown(long, "/transcript"), "assistant")
}

func TestCallsOfThePastHaveLivedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := callsim.New(callsim.Options{})
		begin := time.Now()
		_, err := sim.Arrive(callsim.Arrival{Count: 3, Ago: callsim.Duration(2 * time.Hour), Every: callsim.Duration(time.Hour)})
		require.NoError(t, err)
		for i, c := range sim.Calls() {
			assert.True(t, c.Created.Equal(begin.Add(time.Duration(i-2)*time.Hour)))
			assert.Equal(t, i < 2, c.Final)
		}
		assert.Len(t, page(t, sim, "from="+begin.Add(-90*time.Minute).UTC().Format(time.RFC3339)), 2)
		_, err = sim.Arrive(callsim.Arrival{Ago: callsim.Duration(time.Minute)})
		assert.ErrorContains(t, err, "newer call")
	})
}
