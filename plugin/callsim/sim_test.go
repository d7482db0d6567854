package callsim_test

import (
	"encoding/json"
	"fmt"
	"io"
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

func listen(t *testing.T, opts callsim.Options) *callsim.Server {
	t.Helper()
	srv, err := callsim.Listen("127.0.0.1:0", opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, srv.Close()) })
	return srv
}

// ask makes one request; status 0 is a connection without a whole answer.
func ask(t *testing.T, method, url, body string) (status int, header http.Header, reply string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer k")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
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

func batch(n int) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`{"number_id":"64f0c0de00000000000000c1","phone_number":"+1202555%04d","metadata":{"lead":"l%d"}}`, i, i)
	}
	return "[" + strings.Join(items, ",") + "]"
}

func TestFaultsCreateWhatTheySay(t *testing.T) {
	for _, tc := range []struct {
		fault   callsim.Fault
		status  int
		created int
	}{
		{callsim.Fault{Kind: callsim.Refuse, Status: 429, RetryAfter: "7"}, 429, 0},
		{callsim.Fault{Kind: callsim.ErrorBefore}, 500, 0},
		{callsim.Fault{Kind: callsim.CutBefore}, 0, 0},
		{callsim.Fault{Kind: callsim.CutInBody}, 0, 0},
		{callsim.Fault{Kind: callsim.LoseAnswer}, 0, 4},
		{callsim.Fault{Kind: callsim.CutBody}, 0, 4},
		{callsim.Fault{Kind: callsim.ErrorAfter, Status: 503}, 503, 4},
		{callsim.Fault{Kind: callsim.WrongType}, 200, 4},
		{callsim.Fault{Kind: callsim.NotJSON}, 200, 4},
		{callsim.Fault{Kind: callsim.Part}, 200, 2},
		{callsim.Fault{Kind: callsim.Part, Status: 422, Fraction: 0.25}, 422, 1},
		{callsim.Fault{Kind: callsim.DropEcho}, 200, 4},
	} {
		t.Run(fmt.Sprint(tc.fault.Kind, tc.fault.Status), func(t *testing.T) {
			srv := listen(t, callsim.Options{})
			tc.fault.Times = 1
			srv.Sim.Inject(tc.fault)
			status, header, _ := ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(4))
			assert.Equal(t, tc.status, status)
			assert.Len(t, srv.Sim.Calls(), tc.created)
			assert.Equal(t, 1, srv.Sim.Faults()[0].Injected)
			if tc.fault.RetryAfter != "" {
				assert.Equal(t, "7", header.Get("Retry-After"))
			}
			status, _, _ = ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(4))
			assert.Equal(t, 200, status, "the fault struck once")
		})
	}
}

// Whatever strikes an operation that is no dial strikes as it says, too: those
// that let a dial create its calls let it do its work.
func TestFaultsStrikeOtherOperations(t *testing.T) {
	for _, tc := range []struct {
		fault  callsim.Fault
		status int
		done   bool
	}{
		{callsim.Fault{Kind: callsim.Refuse, Status: 404}, 404, false},
		{callsim.Fault{Kind: callsim.ErrorBefore}, 500, false},
		{callsim.Fault{Kind: callsim.CutBefore}, 0, false},
		{callsim.Fault{Kind: callsim.CutInBody}, 0, false},
		{callsim.Fault{Kind: callsim.ErrorAfter, Status: 502}, 502, true},
		{callsim.Fault{Kind: callsim.LoseAnswer}, 0, true},
		{callsim.Fault{Kind: callsim.CutBody}, 0, true},
		{callsim.Fault{Kind: callsim.WrongType}, 200, true},
		{callsim.Fault{Kind: callsim.NotJSON}, 200, true},
		{callsim.Fault{Kind: callsim.Delay, Delay: callsim.Duration(time.Millisecond)}, 200, true},
	} {
		t.Run(string(tc.fault.Kind), func(t *testing.T) {
			srv := listen(t, callsim.Options{Speed: 0.0001})
			ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(1))
			tc.fault.Operation, tc.fault.Times = "stopCall", 1
			srv.Sim.Inject(tc.fault)
			status, header, reply := ask(t, http.MethodPost, srv.URL+"/calls/"+srv.Sim.Calls()[0].ID+"/stop", "")
			assert.Equal(t, tc.status, status)
			assert.Equal(t, tc.done, srv.Sim.Calls()[0].Status == "Canceled")
			assert.Equal(t, 1, srv.Sim.RequestsOf("stopCall"), "counted once")
			assert.Equal(t, tc.fault.Kind == callsim.Delay, json.Valid([]byte(reply)) && status == 200)
			if tc.fault.Kind == callsim.CutBody {
				assert.Equal(t, "application/json", header.Get("Content-Type"), "it was cut after the header")
				assert.Contains(t, reply, `{"stat`)
			}
		})
	}
}

func TestARetryCanBeAskedForAtADate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := callsim.New(callsim.Options{})
		sim.Inject(callsim.Fault{Kind: callsim.Refuse, Status: 429, RetryAfter: "date:90s", Operation: "*"})
		for _, op := range []string{"GET /calls", "POST /dial/outbound"} {
			method, path, _ := strings.Cut(op, " ")
			req := httptest.NewRequest(method, "/api/v1"+path, strings.NewReader(batch(1)))
			req.Header.Set("Authorization", "Bearer k")
			rec := httptest.NewRecorder()
			sim.ServeHTTP(rec, req)
			assert.Equal(t, 429, rec.Code)
			at, err := http.ParseTime(rec.Header().Get("Retry-After"))
			require.NoError(t, err, op)
			assert.True(t, at.Equal(time.Now().Add(90*time.Second)), "%s: %v", op, at)
			time.Sleep(time.Minute) // the next date is from then on
		}
	})
}

func TestAnOutageEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := callsim.New(callsim.Options{})
		sim.Inject(callsim.Fault{Kind: callsim.ErrorBefore, Operation: "*", Status: 503, For: callsim.Duration(time.Minute)})
		status := func() int { status, _ := serve(t, sim, "GET", "/calls", ""); return status }
		assert.Equal(t, 503, status())
		time.Sleep(time.Minute - 1)
		assert.Equal(t, 503, status())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 200, status())
		assert.Equal(t, 2, sim.Faults()[0].Injected)
	})
}

func TestOneCallHasNoParts(t *testing.T) {
	sim := callsim.New(callsim.Options{})
	sim.Inject(callsim.Fault{Kind: callsim.Part})
	status, reply := serve(t, sim, "POST", "/dial/outbound", strings.Trim(batch(1), "[]"))
	assert.Equal(t, 200, status)
	assert.True(t, json.Valid([]byte(reply)), reply)
	assert.Len(t, sim.Calls(), 1)
	_, _ = serve(t, sim, "POST", "/dial/outbound-batched", batch(4))
	assert.Len(t, sim.Calls(), 3)
	assert.Equal(t, 1, sim.Faults()[0].Matched, "it was not meant for the single dial")
}

func TestFaultsThatCannotStrikeAreRefused(t *testing.T) {
	for _, f := range []callsim.Fault{
		{}, {Kind: "loose_answer"}, {Kind: callsim.CutBefore, To: "+12025550101"}, {Kind: callsim.Refuse, Operation: "listcalls"},
		{Kind: callsim.Refuse, Operation: "listCalls", To: "+12025550101"}, {Kind: callsim.Part, Operation: "createOutboundCall"},
		{Kind: callsim.Hide, Operation: "listCalls", Delay: 1}, {Kind: callsim.DropEcho, Operation: "getCall"}, {Kind: callsim.Delay}, {Kind: callsim.Hide},
		{Kind: callsim.Refuse, Probability: 1.5}, {Kind: callsim.Part, Fraction: -1}, {Kind: callsim.Refuse, Times: -1}, {Kind: callsim.Refuse, Status: 42},
		{Kind: callsim.Refuse, RetryAfter: "date:soon"}, {Kind: callsim.Refuse, For: -1},
	} {
		require.Error(t, f.Validate(), "%+v", f)
		assert.Panics(t, func() { callsim.New(callsim.Options{}).Inject(f) }, "%+v", f)
	}
	for _, f := range []callsim.Fault{
		{Kind: callsim.Refuse, Operation: "*", To: "+12025550101", RetryAfter: "7"}, {Kind: callsim.Hide, Delay: 1, Operation: "createOutboundCall"},
		{Kind: callsim.CutBody, Operation: "getTranscript", Probability: 0.1, For: callsim.Duration(time.Minute)},
	} {
		assert.NoError(t, f.Validate(), "%+v", f)
	}
}

func TestRepliesAreShuffledAndCarryTheEcho(t *testing.T) {
	srv := listen(t, callsim.Options{Seed: 1})
	_, _, reply := ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(20))
	var created []struct {
		Metadata struct {
			To     string
			Custom map[string]string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(reply), &created))
	inOrder := true
	for i, c := range created {
		inOrder = inOrder && c.Metadata.To == fmt.Sprintf("+1202555%04d", i)
		assert.NotEmpty(t, c.Metadata.Custom["lead"])
	}
	assert.False(t, inOrder)
	assert.Len(t, srv.Sim.CallsBy("metadata.lead"), 20)
}

func TestBadRequestsCreateNothing(t *testing.T) {
	srv := listen(t, callsim.Options{APIKey: "another", MaxBatch: 2})
	status, _, _ := ask(t, http.MethodGet, srv.URL+"/calls", "")
	assert.Equal(t, 401, status)

	srv = listen(t, callsim.Options{MaxBatch: 2})
	for body, want := range map[string]int{
		`{}`: 422, `[1]`: 422, `[{"number_id":"64f0c0de00000000000000c1"}]`: 422,
		`[{"number_id":"short","phone_number":"+12025550101"}]`:                   422,
		`[{"number_id":"64f0c0de00000000000000c1","phone_number":"202 555"}]`:     422,
		batch(1)[:len(batch(1))-1] + `,{"number_id":"64f0c0de00000000000000c1"}]`: 422,
		batch(3): 413,
	} {
		status, _, _ := ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", body)
		assert.Equal(t, want, status, body)
	}
	assert.Empty(t, srv.Sim.Calls())
}

func TestACallLivesAndItsTranscriptComesLaterThanItsEnd(t *testing.T) {
	srv := listen(t, callsim.Options{Speed: 0.0001})
	ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(40))
	assert.Equal(t, map[string]int{"Queued": 40}, srv.Sim.ByStatus())
	srv.Sim.Advance(20 * time.Second)
	assert.Positive(t, srv.Sim.ByStatus()["In progress"])
	srv.Sim.Advance(60 * time.Second)
	byStatus := srv.Sim.ByStatus()
	assert.Positive(t, byStatus["Completed"])
	assert.Positive(t, byStatus["No answer"])
	transcribed := func() (n int) {
		for _, c := range srv.Sim.Calls() {
			if status, _, reply := ask(t, http.MethodGet, srv.URL+"/calls/"+c.ID+"/transcript", ""); status == 200 && strings.Contains(reply, "assistant") {
				n++
			}
		}
		return n
	}
	before := transcribed()
	srv.Sim.Advance(time.Hour)
	assert.Less(t, before, transcribed())
	assert.Equal(t, byStatus["Completed"]+byStatus["Transferred"], transcribed())
}

func TestListsPageAndHideNewCalls(t *testing.T) {
	srv := listen(t, callsim.Options{})
	ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(5))
	srv.Sim.Inject(callsim.Fault{Kind: callsim.Hide, Delay: callsim.Duration(time.Hour)})
	ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(1))
	list := func(query string) (ids []string) {
		var page struct{ Calls []struct{ ID string } }
		_, _, reply := ask(t, http.MethodGet, srv.URL+"/calls?"+query, "")
		require.NoError(t, json.Unmarshal([]byte(reply), &page), reply)
		for _, c := range page.Calls {
			ids = append(ids, c.ID)
		}
		return ids
	}
	all := list("sort=asc")
	assert.Len(t, all, 5, "the sixth is hidden")
	assert.Equal(t, all[2:4], list("sort=asc&skip=2&limit=2"))
	assert.Equal(t, all[4], list("sort=desc&limit=1")[0])
	assert.Empty(t, list("from="+time.Now().Add(time.Minute).UTC().Format(time.RFC3339)))
	assert.Empty(t, list("type=Inbound"))
}

func TestControlTellsTheGroundTruthToOtherPrograms(t *testing.T) {
	srv := listen(t, callsim.Options{})
	host := strings.TrimSuffix(srv.URL, "/api/v1")
	status, _, _ := ask(t, http.MethodPost, host+"/_sim/faults", `{"kind":"error_after","times":1,"delay":"10ms"}`)
	require.Equal(t, 200, status)
	status, _, _ = ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(2))
	assert.Equal(t, 500, status)
	for _, useless := range []string{`{"kind":"loose_answer"}`, `{"kind":"cut_before","to":"+12025550101"}`, `{`} {
		status, _, _ = ask(t, http.MethodPost, host+"/_sim/faults", useless)
		assert.Equal(t, 400, status, useless)
	}
	_, _, reply := ask(t, http.MethodGet, host+"/_sim/calls?by=metadata.lead", "")
	assert.JSONEq(t, `{"total":2,"by":{"l0":1,"l1":1}}`, reply)
	_, _, reply = ask(t, http.MethodGet, host+"/_sim/requests", "")
	assert.Contains(t, reply, `{"operation":"createOutboundCallsBatched","status":500,"count":1}`)
}
