package starter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
)

// scripted is an API that has one workflow, whose answers are said word for word.
type scripted struct {
	runs    func(r *http.Request) string // the list; nil: one run, whose columns are columns
	columns string
	nodes   func(n int) string // of the run, each time they are asked for; nil: the trigger with an output
	output  func(n int) string // data of an output, or all of it; nil: {}

	lists, opens, outputs atomic.Int32
}

const aPage = `{"data":[%s],"pagination":{"page":1,"pageSize":500,"totalPages":1,"totalRecords":%d,"hasNextPage":false}}`

func aRun(id, columns string) string {
	return fmt.Sprintf(`{"id":%q,"status":"running","timestamp":%q,"data":%s}`, id, time.Now().UTC().Format(time.RFC3339), columns)
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case strings.HasSuffix(r.URL.Path, "/nodes"):
		n, body := int(s.opens.Add(1)), `{"data":[{"output_id":"o1","run_id":"r1","node_persistent_id":"trig","status":"succeeded"}]}`
		if s.nodes != nil {
			body = s.nodes(n)
		}
		fmt.Fprint(w, body)
	case strings.Contains(r.URL.Path, "/outputs/"):
		n, body := int(s.outputs.Add(1)), outputOver(`{}`)
		if s.output != nil {
			body = s.output(n)
		}
		fmt.Fprint(w, body)
	default:
		s.lists.Add(1)
		body := fmt.Sprintf(aPage, aRun("r1", s.columns), 1)
		if s.runs != nil {
			body = s.runs(r)
		}
		fmt.Fprint(w, body)
	}
}

func outputOver(data string) string {
	return `{"id":"o1","run_id":"r1","status":"succeeded","data":` + data + `}`
}
func outputRunning(data string) string {
	return `{"id":"o1","run_id":"r1","status":"running","data":` + data + `}`
}

// starterOf is a starter of that API, which knows the id of the trigger unless it is "".
func starterOf(t *testing.T, api http.Handler, trigger string) *Starter {
	t.Helper()
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	opts := happyrobot.Options{BaseURL: srv.URL, APIKey: "k", Timeout: 10 * time.Second, Retry: happyrobot.Retry{InitialInterval: time.Millisecond, MaxInterval: time.Millisecond}}
	reads, err := platform.New(platform.Options{Options: opts})
	require.NoError(t, err)
	opts.Retry.MaxElapsedTime = time.Nanosecond
	asks, err := platform.New(platform.Options{Options: opts})
	require.NoError(t, err)
	s := New(Options{
		Workflow: "w", Environment: platform.Production, RefField: "dial_ref", Reads: reads, Asks: asks,
		InitialInterval: time.Millisecond, MaxInterval: time.Millisecond,
		Start: func(ctx context.Context, payload json.RawMessage) (platform.TriggerReply, error) {
			return reads.Trigger(ctx, "w", platform.Trigger{Payload: payload})
		},
	})
	if trigger != "" {
		s.opts.Shared.trigger.Store(&trigger)
	}
	return s
}

// found is what a look for ours gives.
type found struct{ run, why string }

func listed(t *testing.T, s *Starter, final bool) (all []found, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	want := dialer.Listing{
		From: func(time.Time) time.Time { return time.Now().Add(-time.Hour) },
		Ours: func(text string) bool { return text == ours }, Final: final,
	}
	for call, err := range s.List(ctx, want) {
		switch {
		case err != nil:
			return all, err
		case call.Ref != "":
			all = append(all, found{run: call.ID})
		default:
			all = append(all, found{why: fmt.Sprint(call.NoRef)})
		}
	}
	return all, nil
}

var (
	foundR1  = []found{{run: "r1"}}
	notYet   = []found{{why: "a run of that time may be it: its trigger has no output yet"}}
	nobodys  = []found{{why: "a run of that time may be it: which of its nodes is the trigger is not known"}}
	withOurs = `{"data":{"dial_ref":"` + ours + `"}}`
)

// An output that is read before the payload is in it says nothing: it is read again.
func TestAnOutputThatIsReadEarlyIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, early := range []string{
		outputRunning(`{}`), outputOver(`{}`), outputOver(`[]`), outputRunning(`[]`), outputOver(`""`), outputOver(`null`),
		outputRunning(`{"headers":{"x-request-id":"` + theirs + `"},"method":"POST","query":{}}`), outputRunning(`{"data":null}`),
	} {
		api := &scripted{columns: `{}`, output: func(n int) string {
			if n <= 2 {
				return early
			}
			return outputOver(withOurs)
		}}
		s := starterOf(t, api, "trig")
		all, err := listed(t, s, false)
		require.NoError(t, err)
		assert.Empty(t, all, early)
		assert.EqualValues(t, 1, api.outputs.Load(), "a list that need not be final waits for none")
		all, err = listed(t, s, true)
		require.NoError(t, err)
		assert.Equal(t, foundR1, all, early)
		assert.EqualValues(t, 3, api.outputs.Load())
	}
}

// A run that has no output for long leaves a doubt, and keeps up a look but little.
func TestARunThatGetsNoOutputIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	api := &scripted{columns: `{}`, output: func(int) string { return outputRunning(`{}`) }}
	all, err := listed(t, starterOf(t, api, "trig"), true)
	require.NoError(t, err)
	assert.Equal(t, notYet, all)
	assert.EqualValues(t, 1+mostEarlyReads, api.outputs.Load())
}

// What a trigger gave once it was over is final, and so is a reference at its own place.
func TestAnOutputThatIsFinalIsReadOnce(t *testing.T) {
	t.Parallel()
	for _, said := range []string{outputOver(`{"data":{"phone_number":"x"}}`), outputRunning(`{"data":{"dial_ref":"` + theirs + `"}}`)} {
		api := &scripted{columns: `{}`, output: func(int) string { return said }}
		s := starterOf(t, api, "trig")
		for range 2 {
			all, err := listed(t, s, true)
			require.NoError(t, err)
			assert.Empty(t, all)
		}
		assert.EqualValues(t, 1, api.outputs.Load())
	}
}

// While nobody knows which node is the trigger, another's output proves nothing.
func TestWithoutTheTriggersIDOnlyAReferenceCounts(t *testing.T) {
	t.Parallel()
	const voice = `{"output_id":"o1","run_id":"r1","node_persistent_id":"voice"}`
	for name, tc := range map[string]struct {
		trigger, node, data string
		want                []found
	}{
		"another node's output":       {"", voice, `{"x":1}`, nobodys},
		"another node's reference":    {"", voice, `{"dial_ref":"` + theirs + `"}`, nobodys},
		"the reference":               {"", voice, withOurs, foundR1},
		"a node without an id":        {"trig", `{"output_id":"o1","run_id":"r1"}`, `{"x":1}`, nobodys},
		"only another node has run":   {"trig", voice, `{"x":1}`, notYet},
		"the trigger has no output":   {"trig", `{"output_id":null,"run_id":"r1","node_persistent_id":"trig"},` + voice, `{"x":1}`, notYet},
		"the trigger is known indeed": {"voice", voice, `{"x":1}`, nil},
	} {
		api := &scripted{columns: `{}`, nodes: func(int) string { return `{"data":[` + tc.node + `]}` }, output: func(int) string { return outputOver(tc.data) }}
		s := starterOf(t, api, tc.trigger)
		for range 2 {
			all, err := listed(t, s, true)
			require.NoError(t, err)
			assert.Equal(t, tc.want, all, name)
		}
	}
}

// An empty page is the whole list only where nothing contradicts that.
func TestAnEmptyFirstPageIsNotTakenForTheList(t *testing.T) {
	t.Parallel()
	const empty = `{"data":[],"pagination":{"page":1,"totalRecords":%d,"hasNextPage":%v}}`
	for name, tc := range map[string]struct {
		first, rest string
		want        []found
		fails       bool
	}{
		"no runs":             {first: fmt.Sprintf(empty, 0, false)},
		"nothing said":        {first: `{"data":[]}`},
		"records":             {first: fmt.Sprintf(empty, 7, false), rest: fmt.Sprintf(aPage, aRun("r1", `{"trig.data.dial_ref":"`+ours+`"}`), 1), want: foundR1},
		"more":                {first: fmt.Sprintf(empty, 0, true), rest: fmt.Sprintf(aPage, aRun("r1", `{"trig.data.dial_ref":"`+ours+`"}`), 1), want: foundR1},
		"records, never seen": {first: fmt.Sprintf(empty, 7, false), rest: fmt.Sprintf(empty, 7, false), fails: true},
	} {
		api := &scripted{runs: func(r *http.Request) string {
			if r.URL.Query().Get("sort") == "desc" {
				return tc.first
			}
			return tc.rest
		}}
		all, err := listed(t, starterOf(t, api, "trig"), true)
		assert.Equal(t, tc.want, all, name)
		if tc.fails {
			require.ErrorContains(t, err, "gives none", name)
			assert.Equal(t, happyrobot.ClassUnreadable, happyrobot.ClassOf(err))
		} else {
			require.NoError(t, err, name)
		}
	}
}

// A run that an answer to another lead names beside its own may be of a lead in doubt.
func TestARunThatAnotherLeadsAnswerNamesIsStillLookedAt(t *testing.T) {
	t.Parallel()
	for name, started := range map[string][]string{"several": {"r2", "r1"}, "twice": {"r1"}} {
		s := starterOf(t, &scripted{columns: `{}`, output: func(int) string { return outputOver(withOurs) }}, "trig")
		if name == "twice" {
			s.opts.Shared.started(ours, []string{"r1"})
		}
		s.opts.Shared.started(theirs, started)
		all, err := listed(t, s, true)
		require.NoError(t, err)
		assert.Equal(t, foundR1, all, name)
	}
}

// A column that shows no reference, or one of a node that need not be the trigger, does not
// say whose the run is.
func TestARunWithoutAReferenceAmongItsColumnsIsOpened(t *testing.T) {
	t.Parallel()
	for trigger, all := range map[string][]string{
		"trig": {`{"trig.dial_ref":"-"}`, `{"trig.data.dial_ref":"0123456789abcdef0123…"}`, `{"trig.dial_ref":"null"}`, `{"other.dial_ref":"` + theirs + `"}`},
		"":     {`{"other.dial_ref":"` + theirs + `"}`, `{"other.dial_ref":"` + theirs + `","other.previous_ref":"` + ours + `"}`},
	} {
		for _, columns := range all {
			api := &scripted{columns: columns, output: func(int) string { return outputOver(withOurs) }}
			all, err := listed(t, starterOf(t, api, trigger), true)
			require.NoError(t, err)
			assert.Equal(t, foundR1, all, columns)
			assert.EqualValues(t, 1, api.outputs.Load(), columns)
		}
	}
}

// Another lead's run may quote our reference: its own decides.
func TestARunThatQuotesOurReferenceIsNotOurs(t *testing.T) {
	t.Parallel()
	for columns, data := range map[string]string{
		`{"trig.dial_ref":"` + theirs + `","trig.previous_ref":"` + ours + `"}`: withOurs, // not read
		`{}`:               `{"data":{"dial_ref":"` + theirs + `","previous_ref":"` + ours + `"}}`,
		`{"trig.note":""}`: `{"dial_ref":"` + theirs + `","lead":{"dial_ref":"` + ours + `"}}`,
	} {
		api := &scripted{columns: columns, output: func(int) string { return outputOver(data) }}
		all, err := listed(t, starterOf(t, api, "trig"), true)
		require.NoError(t, err)
		assert.Empty(t, all, columns)
	}
	api := &scripted{columns: `{"trig.note":"` + ours + `"}`}
	all, err := listed(t, starterOf(t, api, "trig"), true)
	require.NoError(t, err)
	assert.Equal(t, foundR1, all, "without its own, any text counts")
}

// A page that is too large is asked for again as a smaller one.
func TestAPageOfTheNewestRunsThatIsTooLargeIsHalved(t *testing.T) {
	t.Parallel()
	api := &scripted{columns: `{"trig.dial_ref":"` + ours + `"}`}
	var sizes []string
	s := starterOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if size := r.URL.Query().Get("page_size"); size == "500" || size == "250" {
			sizes = append(sizes, size)
			w.Header().Set("Content-Length", fmt.Sprint(40<<20))
			w.WriteHeader(http.StatusOK)
			return
		}
		api.ServeHTTP(w, r)
	}), "trig")
	all, err := listed(t, s, true)
	require.NoError(t, err)
	assert.Equal(t, foundR1, all)
	assert.Equal(t, []string{"500", "250"}, sizes)
}

// A page in place of the list is not the API's word that the workflow does not exist.
func TestAPageInPlaceOfTheListIsAnOutage(t *testing.T) {
	t.Parallel()
	const jsonText, page = `{"error":"not found"}`, "<html><body>not found</body></html>"
	for name, tc := range map[string]struct {
		contentType, body string
		key               int // status of the description of the key
		never             bool
	}{
		"the API":        {"application/json", jsonText, http.StatusOK, true},
		"a page":         {"text/html", page, http.StatusOK, false},
		"something else": {"application/json", jsonText, http.StatusNotFound, false},
	} {
		s := starterOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", tc.contentType)
			if strings.HasSuffix(r.URL.Path, "/describe") && tc.key == http.StatusOK {
				fmt.Fprint(w, `{}`)
				return
			}
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, tc.body)
		}), "trig")
		_, err := listed(t, s, true)
		require.Error(t, err)
		var unlistable *dialer.Unlistable
		assert.Equal(t, tc.never, errors.As(err, &unlistable), "%s: %v", name, err)
	}
}

// Whoever looks is told of each request: what was answered, and why one is repeated.
func TestEachRequestOfALookIsTold(t *testing.T) {
	t.Parallel()
	api := &scripted{columns: `{}`, output: func(int) string { return outputOver(withOurs) }}
	refused := 0
	s := starterOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused++; refused <= 2 {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		api.ServeHTTP(w, r)
	}), "trig")
	var told []happyrobot.Class
	want := dialer.Listing{
		From: func(time.Time) time.Time { return time.Time{} }, Ours: func(text string) bool { return text == ours }, Final: true,
		Asked: func(err error) { told = append(told, happyrobot.ClassOf(err)) },
	}
	for call, err := range s.List(t.Context(), want) {
		require.NoError(t, err)
		assert.Equal(t, ours, call.Ref)
	}
	const limited, answered = happyrobot.ClassThrottled, happyrobot.ClassAnswered
	assert.Equal(t, []happyrobot.Class{limited, limited, answered, answered, answered}, told, "the list, the nodes and the output")
}
