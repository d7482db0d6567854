package callsim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func TestACallPlacedAfterALeapStartsAtAgeZero(t *testing.T) {
	srv := listen(t, callsim.Options{Speed: 0.0001})
	ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(1))
	srv.Sim.Advance(time.Hour)
	ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(1))
	calls := srv.Sim.Calls()
	assert.True(t, calls[0].Final)
	assert.Equal(t, "Queued", calls[1].Status)
	srv.Sim.Advance(3 * time.Second)
	assert.Equal(t, "Initiated", srv.Sim.Calls()[1].Status)
	assert.Panics(t, func() { srv.Sim.Advance(-time.Second) }, "calls that have ended cannot ring again")
}

// The calendar is the client's, whatever simulated time does.
func TestCreatedIsTheClientsTimeAndInTheOrderOfCreation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := callsim.New(callsim.Options{Speed: 1000})
		var moments []time.Time
		for range 5 {
			moments = append(moments, time.Now())
			serve(t, sim, "POST", "/dial/outbound-batched", batch(2))
			sim.Advance(time.Hour)
			time.Sleep(time.Second)
		}
		calls := sim.Calls()
		for i, c := range calls {
			assert.True(t, c.Created.Equal(moments[i/2]))
		}
		listed := page(t, sim, "sort=asc&from="+moments[2].UTC().Format(time.RFC3339Nano)+"&to="+moments[3].UTC().Format(time.RFC3339Nano))
		assert.Equal(t, []string{calls[4].ID, calls[5].ID, calls[6].ID, calls[7].ID}, listed)
	})
}

func TestAScheduledCallRingsWhenSimulatedTimeGetsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := callsim.New(callsim.Options{Speed: 60})
		sim.Advance(5 * time.Hour) // before the call: not its time
		serve(t, sim, "POST", "/dial/outbound", fmt.Sprintf(
			`{"number_id":"64f0c0de00000000000000c1","phone_number":"+12025550101","scheduled_for":%q}`, time.Now().Add(2*time.Hour).UTC().Format(time.RFC3339)))
		status := func() string { return sim.Calls()[0].Status }
		sim.Advance(time.Hour)
		assert.Equal(t, "Scheduled", status())
		time.Sleep(59 * time.Second)
		assert.Equal(t, "Scheduled", status())
		time.Sleep(1100 * time.Millisecond)
		assert.Equal(t, "Ringing", status(), "an hour leapt over, and a minute at 60 times the wall's speed")
	})
}

func TestCreatedCanBeCoarse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := callsim.New(callsim.Options{CreatedResolution: time.Second})
		begin := time.Now()
		for range 8 {
			serve(t, sim, "POST", "/dial/outbound-batched", batch(1))
			time.Sleep(250 * time.Millisecond)
		}
		byMoment := map[time.Time]int{}
		for _, c := range sim.Calls() {
			byMoment[c.Created]++
		}
		assert.Equal(t, map[time.Time]int{begin.UTC(): 4, begin.Add(time.Second).UTC(): 4}, utc(byMoment))
		assert.Len(t, page(t, sim, "from="+begin.Add(time.Millisecond).UTC().Format(time.RFC3339Nano)), 4, "from is compared with what is shown")
	})
}

func utc(m map[time.Time]int) map[time.Time]int {
	out := map[time.Time]int{}
	for at, n := range m {
		out[at.UTC()] += n
	}
	return out
}

// serve asks without a wire, which a faked clock needs.
func serve(t *testing.T, sim *callsim.Sim, method, path, body string) (status int, reply string) {
	t.Helper()
	req, err := http.NewRequest(method, "http://callsim/api/v1"+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer k")
	rec := httptest.NewRecorder()
	sim.ServeHTTP(rec, req)
	return rec.Code, rec.Body.String()
}

// page lists the ids of calls.
func page(t *testing.T, sim *callsim.Sim, query string) (ids []string) {
	t.Helper()
	status, reply := serve(t, sim, "GET", "/calls?"+query, "")
	require.Equal(t, 200, status, reply)
	var p struct{ Calls []struct{ ID string } }
	require.NoError(t, json.Unmarshal([]byte(reply), &p))
	for _, c := range p.Calls {
		ids = append(ids, c.ID)
	}
	return ids
}
