package platform_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// serve makes a request without a network.
func serve(t *testing.T, sim *platform.Sim, method, path, body string) (status int, answer object) {
	t.Helper()
	req := httptest.NewRequest(method, "/api/v2"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer k")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	rec := httptest.NewRecorder()
	sim.ServeHTTP(rec, req)
	_ = json.Unmarshal(rec.Body.Bytes(), &answer)
	return rec.Code, answer
}

const runsPath = "/workflows/" + platform.DefaultWorkflow + "/runs"

func items(answer object) []any {
	list, _ := answer["data"].([]any)
	return list
}

// statuses are those of a run's sessions, from the oldest on.
func statuses(t *testing.T, sim *platform.Sim, id string) (all []string) {
	t.Helper()
	_, answer := serve(t, sim, "GET", "/runs/"+id+"/sessions?sort=asc", "")
	for _, session := range items(answer) {
		all = append(all, session.(object)["status"].(string))
	}
	return all
}

func TestARunRedialsAndItsPartsComeOneAfterTheOther(t *testing.T) {
	sim := platform.New(platform.Options{Speed: 1e-6, Visibility: -1})
	sim.Decide("+12025550101", platform.Fate{Sessions: []string{"missed", "completed"}, Talk: platform.Duration(time.Minute), Extract: map[string]string{"slot": "ten"}})
	_, answer := serve(t, sim, "POST", runsPath, `{"payload":{"phone_number":"+12025550101"}}`)
	id := idOf(t, answer)
	now := func() string {
		_, run := serve(t, sim, "GET", "/runs/"+id, "")
		_, nodes := serve(t, sim, "GET", "/runs/"+id+"/nodes", "")
		_, recordings := serve(t, sim, "GET", "/runs/"+id+"/recordings", "")
		return fmt.Sprint(run["status"], " ", statuses(t, sim, id), " ", len(items(nodes)), " nodes ", len(recordings["recordings"].([]any)), " recordings")
	}
	seen := []string{now()}
	for range 60 {
		sim.Advance(3 * time.Second)
		if n := now(); n != seen[len(seen)-1] {
			seen = append(seen, n)
		}
	}
	assert.Equal(t, []string{
		"scheduled [] 1 nodes 0 recordings",
		"running [queued] 1 nodes 0 recordings",
		"running [in-progress] 1 nodes 0 recordings",
		"running [missed] 1 nodes 0 recordings",
		"running [missed queued] 1 nodes 0 recordings",
		"running [missed in-progress] 1 nodes 0 recordings",
		"running [missed completed] 2 nodes 0 recordings", // the session is over before the run
		"completed [missed completed] 2 nodes 0 recordings",
		"completed [missed completed] 3 nodes 0 recordings", // and the extraction comes later still
		"completed [missed completed] 3 nodes 1 recordings",
	}, seen)
	_, list := serve(t, sim, "GET", runsPath, "")
	data := items(list)[0].(object)["data"].(object)
	assert.Equal(t, "ten", data["00000000-0000-7004-8000-000000000003.response.slot"])
	assert.True(t, strings.HasPrefix(data["00000000-0000-7004-8000-000000000002.transcript"].(string), `[{"content"`), "lists are JSON as text")
	assert.Equal(t, map[string]int{"": 2}, sim.SessionsBy("dial_ref"))
}

func TestALateOutputMovesTheEndOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := platform.New(platform.Options{Speed: 60, Visibility: -1, OutputDelay: time.Hour})
		ids, err := sim.Arrive(platform.Arrival{Fate: platform.Fate{Sessions: []string{"completed"}, Talk: platform.Duration(10 * time.Second)}})
		require.NoError(t, err)
		end := func() time.Time {
			_, run := serve(t, sim, "GET", "/runs/"+ids[0], "")
			at, err := time.Parse(time.RFC3339, run["completed_at"].(string))
			require.NoError(t, err)
			return at
		}
		began := time.Now()
		time.Sleep(time.Second) // a minute there
		first := end()
		assert.True(t, first.After(began) && first.Before(time.Now()), "%v", first)
		time.Sleep(2 * time.Minute)
		assert.InDelta(t, 60, end().Sub(first).Seconds(), 0.01, "an hour there")
	})
}

func TestARunIsListedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := platform.New(platform.Options{Visibility: 3 * time.Second})
		sim.Inject(platform.Fault{Kind: platform.Hide, Delay: platform.Duration(time.Minute), To: "ref-2"})
		var ids []string
		for i := 1; i < 3; i++ {
			_, answer := serve(t, sim, "POST", runsPath, `{"payload":`+lead(i)+`}`)
			ids = append(ids, idOf(t, answer))
		}
		listed := func() int {
			_, list := serve(t, sim, "GET", runsPath, "")
			found := 0
			for _, id := range ids {
				status, _ := serve(t, sim, "GET", "/runs/"+id, "")
				found += map[int]int{200: 1, 404: 0}[status]
			}
			assert.Len(t, items(list), found)
			return found
		}
		assert.Equal(t, 0, listed())
		time.Sleep(3 * time.Second)
		assert.Equal(t, 1, listed())
		time.Sleep(time.Minute)
		assert.Equal(t, 2, listed())
		assert.Len(t, sim.Runs(), 2)
	})
}

func TestASessionOfAHiddenRunIsHidden(t *testing.T) {
	session := func(visibility time.Duration, ask func(sim *platform.Sim)) {
		sim := platform.New(platform.Options{Seed: 7, Speed: 1e-6, Visibility: visibility})
		serve(t, sim, "POST", runsPath, `{"payload":`+lead(1)+`}`)
		sim.Advance(time.Hour)
		ask(sim)
	}
	var id string
	session(-1, func(sim *platform.Sim) {
		_, list := serve(t, sim, "GET", "/workflows/"+platform.DefaultWorkflow+"/sessions", "")
		id = items(list)[0].(object)["id"].(string)
		status, _ := serve(t, sim, "GET", "/sessions/"+id, "")
		assert.Equal(t, 200, status)
	})
	session(time.Hour, func(sim *platform.Sim) {
		_, list := serve(t, sim, "GET", "/workflows/"+platform.DefaultWorkflow+"/sessions", "")
		assert.Empty(t, items(list))
		status, _ := serve(t, sim, "GET", "/sessions/"+id, "") // the same seed gives the same id
		assert.Equal(t, 404, status)
	})
}

func TestABacklogWaitsItsTurn(t *testing.T) {
	for _, opts := range []platform.Options{
		{Concurrent: 1}, {Workflows: []platform.Workflow{{Slug: platform.DefaultWorkflow, MultiEvent: platform.Sequential}}},
	} {
		opts.Speed, opts.Visibility = 1e-6, -1
		sim := platform.New(opts)
		sim.Decide("", platform.Fate{Sessions: []string{"busy"}}) // for 12s
		var ids []string
		for i := range 4 {
			_, answer := serve(t, sim, "POST", runsPath, `{"payload":`+lead(i)+`}`)
			ids = append(ids, idOf(t, answer))
		}
		backlog := func() int {
			_, list := serve(t, sim, "GET", runsPath+"?status=scheduled&page_size=1", "")
			return int(list["pagination"].(object)["totalRecords"].(float64))
		}
		assert.Equal(t, 4, backlog())
		sim.Advance(5 * time.Second)
		assert.Equal(t, 3, backlog())
		status, _ := serve(t, sim, "POST", "/runs/"+ids[1]+"/cancel", "")
		assert.Equal(t, 200, status)
		assert.Equal(t, 2, backlog())
		_, canceled := serve(t, sim, "GET", "/runs/"+ids[1], "")
		assert.Equal(t, "canceled", canceled["status"])
		assert.Nil(t, canceled["completed_at"], "canceled before its start")
		sim.Advance(12 * time.Second)
		assert.Equal(t, map[string]int{"completed": 1, "canceled": 1, "running": 1, "scheduled": 1}, sim.ByStatus(), "the third comes before the fourth")
		assert.Equal(t, "running", sim.Runs()[2].Status)
		status, _ = serve(t, sim, "POST", "/runs/"+ids[2]+"/cancel", "")
		assert.Equal(t, 200, status)
		sim.Advance(3 * time.Second)
		assert.Equal(t, "running", sim.Runs()[3].Status, "a place that a canceled run gave back")
		_, canceled = serve(t, sim, "GET", "/runs/"+ids[2], "")
		assert.NotNil(t, canceled["completed_at"], "it had begun")
		status, _ = serve(t, sim, "POST", "/runs/"+ids[0]+"/cancel", "")
		assert.Equal(t, 400, status)
	}
}

func TestABadNumberFailsLater(t *testing.T) {
	sim := platform.New(platform.Options{Speed: 1e-6, Visibility: -1})
	_, answer := serve(t, sim, "POST", runsPath, `{"payload":{"phone_number":"call me"}}`)
	sim.Advance(time.Minute)
	_, run := serve(t, sim, "GET", "/runs/"+idOf(t, answer), "")
	assert.Equal(t, "failed", run["status"])
	assert.Empty(t, statuses(t, sim, idOf(t, answer)))
}

func TestColumnsComeAtOnceLateOrNever(t *testing.T) {
	columns := func(when string, fault platform.Kind) (before, after int) {
		sim := platform.New(platform.Options{Speed: 1e-6, Visibility: -1, Workflows: []platform.Workflow{{Slug: platform.DefaultWorkflow, Columns: when}}})
		if fault != "" {
			sim.Inject(platform.Fault{Kind: fault})
		}
		sim.Decide("", platform.Fate{Sessions: []string{"busy"}})
		serve(t, sim, "POST", runsPath, `{"payload":`+lead(1)+`}`)
		count := func() int {
			_, list := serve(t, sim, "GET", runsPath, "")
			return len(items(list)[0].(object)["data"].(object))
		}
		before = count()
		sim.Advance(time.Hour)
		return before, count()
	}
	for _, tc := range []struct {
		when          string
		fault         platform.Kind
		before, after int
	}{
		{"", "", 2, 2}, {platform.ColumnsLate, "", 0, 2}, {platform.ColumnsNone, "", 0, 0}, {"", platform.LateColumns, 0, 2}, {"", platform.DropColumns, 0, 0},
	} {
		before, after := columns(tc.when, tc.fault)
		assert.Equal(t, [2]int{tc.before, tc.after}, [2]int{before, after}, "%s %s", tc.when, tc.fault)
	}
}

func TestANumberIsNoContactUntilItRang(t *testing.T) {
	sim := platform.New(platform.Options{Speed: 1e-6, Visibility: -1})
	sim.Decide("", platform.Fate{Sessions: []string{"completed"}})
	serve(t, sim, "POST", runsPath, `{"payload":`+lead(1)+`}`)
	by := func() (int, int) {
		number := url.QueryEscape("+12025550001")
		contact, _ := serve(t, sim, "GET", "/contacts/resolve?type=phone_number&value="+number, "")
		sessions, list := serve(t, sim, "GET", "/sessions/?caller_id="+number, "")
		assert.Equal(t, contact, sessions)
		return sessions, len(items(list))
	}
	for _, step := range []struct {
		advance       time.Duration
		status, found int
	}{{0, 404, 0}, {4 * time.Second, 404, 0}, {10 * time.Second, 200, 1}, {time.Hour, 200, 1}} {
		sim.Advance(step.advance)
		status, found := by()
		assert.Equal(t, step.status, status)
		assert.Equal(t, step.found, found)
	}
	status, _ := serve(t, sim, "GET", "/sessions/?caller_id=+12025550001", "")
	assert.Equal(t, 404, status, "a plus that is not escaped is a blank")
}

func TestRetentionTakesTheDataOfARun(t *testing.T) {
	srv := listen(t, platform.Options{Speed: 1e-6, Visibility: -1, Retention: 24 * time.Hour})
	id := start(t, srv, lead(1))
	srv.Sim.Advance(time.Hour)
	assert.NotEmpty(t, triggerOutput(t, srv, id))
	srv.Sim.Advance(25 * time.Hour)
	assert.Empty(t, triggerOutput(t, srv, id))
	_, list := serve(t, srv.Sim, "GET", runsPath, "")
	assert.Empty(t, items(list)[0].(object)["data"])
}

func TestTheClockOfTheAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := platform.New(platform.Options{ClockSkew: time.Hour, Visibility: -1})
		serve(t, sim, "POST", runsPath, `{"payload":{}}`)
		sim.SetClock(-time.Hour)
		serve(t, sim, "POST", runsPath, `{"payload":{}}`)
		runs := sim.Runs()
		assert.WithinDuration(t, time.Now().Add(time.Hour), runs[0].Created, time.Millisecond)
		assert.WithinDuration(t, time.Now().Add(-time.Hour), runs[1].Created, time.Millisecond)
		_, list := serve(t, sim, "GET", runsPath+"?sort=asc", "")
		assert.Equal(t, runs[1].ID, items(list)[0].(object)["id"], "lists are in the order of the stamps")
		_, list = serve(t, sim, "GET", runsPath+"?start_date="+time.Now().UTC().Format("2006-01-02T15:04:05Z"), "")
		assert.Len(t, items(list), 1)
		rec := httptest.NewRecorder()
		sim.ServeHTTP(rec, httptest.NewRequest("GET", "/api/v2/api-key/describe", nil))
		assert.Equal(t, time.Now().Add(-time.Hour).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), rec.Header().Get("Date"))
	})
}

func TestAHistoryIsPagedThrough(t *testing.T) {
	const many = 20_000
	sim := platform.New(platform.Options{Speed: 1e-6})
	ids, err := sim.Arrive(platform.Arrival{Count: many, Ago: platform.Duration(many * time.Second), Every: platform.Duration(time.Second)})
	require.NoError(t, err)
	seen := map[string]int{}
	for page := 1; ; page++ {
		status, list := serve(t, sim, "GET", fmt.Sprintf("%s?sort=asc&page_size=2000&page=%d", runsPath, page), "")
		require.Equal(t, 200, status)
		for i, row := range items(list) {
			require.Equal(t, ids[(page-1)*2000+i], row.(object)["id"])
			seen[row.(object)["status"].(string)]++
		}
		if list["pagination"].(object)["hasNextPage"] != true {
			break
		}
	}
	total := 0
	for _, n := range seen {
		total += n
	}
	assert.Equal(t, many, total)
	assert.Equal(t, sim.ByStatus(), seen)
	for _, status := range []string{"completed", "failed", "canceled"} {
		assert.Positive(t, seen[status])
	}
	outcomes := map[string]int{}
	for _, run := range sim.Runs() {
		outcomes[run.Outcome]++
	}
	assert.Len(t, outcomes, 6, "%v", outcomes)
	_, err = sim.Arrive(platform.Arrival{Count: 2, Every: platform.Duration(time.Second)})
	require.ErrorContains(t, err, "ago")
	_, err = sim.Arrive(platform.Arrival{Ago: platform.Duration(time.Hour)})
	require.ErrorContains(t, err, "newer")
}

func TestCompletedTimesFilterRuns(t *testing.T) {
	sim := platform.New(platform.Options{Visibility: -1})
	_, err := sim.Arrive(platform.Arrival{Count: 10, Ago: platform.Duration(10 * time.Hour), Every: platform.Duration(time.Hour), Fate: platform.Fate{Sessions: []string{"busy"}}})
	require.NoError(t, err)
	format := func(ago time.Duration) string { return time.Now().Add(-ago).UTC().Format("2006-01-02T15:04:05.000Z") }
	_, list := serve(t, sim, "GET", runsPath+"?completed_start_date="+format(150*time.Minute)+"&completed_end_date="+format(30*time.Minute), "")
	assert.Len(t, items(list), 2)
}

func TestGuessesAboutListsAreSwitched(t *testing.T) {
	bounds := func(opts platform.Options) int {
		opts.Visibility, opts.Speed = -1, 1e-6
		sim := platform.New(opts)
		_, err := sim.Arrive(platform.Arrival{Count: 4, Ago: platform.Duration(4 * time.Hour), Every: platform.Duration(time.Hour)})
		require.NoError(t, err)
		runs := sim.Runs()
		at := func(i int) string { return runs[i].Created.UTC().Format("2006-01-02T15:04:05.000Z") }
		_, list := serve(t, sim, "GET", runsPath+"?start_date="+at(0)+"&end_date="+at(3), "")
		return len(items(list))
	}
	assert.Equal(t, 4, bounds(platform.Options{}))
	assert.Equal(t, 2, bounds(platform.Options{ExclusiveDates: true}))

	sim := platform.New(platform.Options{CutPages: true, Visibility: -1})
	_, err := sim.Arrive(platform.Arrival{Count: 2001})
	require.NoError(t, err)
	status, list := serve(t, sim, "GET", runsPath+"?page_size=5000", "")
	assert.Equal(t, 200, status)
	assert.Len(t, items(list), 2000)
	status, _ = serve(t, sim, "GET", runsPath+"?page_size=0", "")
	assert.Equal(t, 400, status)
}

func TestASeedRepeatsARun(t *testing.T) {
	tell := func(seed uint64) string {
		sim := platform.New(platform.Options{Seed: seed, Speed: 1e-6, Visibility: -1})
		sim.Inject(platform.Fault{Kind: platform.NoID, Probability: 0.5})
		var told strings.Builder
		for i := range 20 {
			_, answer := serve(t, sim, "POST", runsPath, `{"payload":`+lead(i)+`}`)
			fmt.Fprint(&told, answer)
		}
		return told.String()
	}
	first := tell(7)
	assert.Equal(t, first, tell(7))
	assert.NotEqual(t, first, tell(8))
}
