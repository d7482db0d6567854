package plugin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// toldRun is a run of a told platform.
type toldRun struct {
	id, status string
	created    time.Time
}

// toldPlatform answers what a test tells it to, also what the simulator never does.
type toldPlatform struct {
	mu    sync.Mutex
	runs  []toldRun
	parts map[string]any // what there is of a run, by the end of its path; 404 for anything else
}

func (p *toldPlatform) settle(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.runs {
		if p.runs[i].id == id {
			p.runs[i].status = "completed"
		}
	}
}

func (p *toldPlatform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	say := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	q, path := r.URL.Query(), strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if path[0] == "workflows" {
		page, _ := strconv.Atoi(q.Get("page"))
		size, _ := strconv.Atoi(q.Get("page_size"))
		from, _ := time.Parse(time.RFC3339, q.Get("start_date"))
		to, err := time.Parse(time.RFC3339, q.Get("end_date"))
		found := []any{}
		for _, run := range p.runs {
			if !run.created.Before(from) && (err != nil || !run.created.After(to)) {
				found = append(found, map[string]any{
					"id": run.id, "status": run.status, "timestamp": run.created.UTC().Format("2006-01-02T15:04:05.000Z"),
					"use_case_id": "wf", "data": map[string]any{"node.lead": run.id},
				})
			}
		}
		at := min((page-1)*size, len(found))
		end := min(at+size, len(found))
		say(http.StatusOK, map[string]any{"data": found[at:end], "pagination": map[string]any{"page": page, "pageSize": size, "totalRecords": len(found), "hasNextPage": end < len(found)}})
		return
	}
	for _, run := range p.runs {
		if len(path) == 2 && path[0] == "runs" && run.id == path[1] {
			say(http.StatusOK, map[string]any{"id": run.id, "status": run.status, "timestamp": run.created.UTC().Format("2006-01-02T15:04:05.000Z"), "workflow_id": "wf"})
			return
		}
	}
	if path[0] == "api-key" {
		say(http.StatusOK, map[string]any{"id": "k"})
		return
	}
	if answer, ok := p.parts[path[len(path)-1]]; ok {
		say(http.StatusOK, answer)
		return
	}
	say(http.StatusNotFound, map[string]any{"message": "Not found"})
}

func told(t *testing.T, p *toldPlatform) string {
	t.Helper()
	srv := httptest.NewServer(p)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestARunWhoseSessionsAreNotFoundIsNotLost(t *testing.T) {
	t.Parallel()
	url := told(t, &toldPlatform{runs: []toldRun{{"r1", "completed", time.Now().Add(-time.Minute)}, {"r2", "completed", time.Now().Add(-time.Minute)}}})
	s := read(t, runsYAML(url, "workflows: [wf]", "emit: session", "include_timeout: 50ms"), memoryCursor, nil)
	for id, run := range s.runs(2) {
		assert.NotContains(t, run, "sessions", id)
	}
	assert.Equal(t, []string{"not_ready", "not_ready"}, s.meta("happyrobot_outcome"))
	assert.Equal(t, []string{"", ""}, s.meta("happyrobot_session_id"))
	assert.Equal(t, 1, strings.Count(s.logs.String(), "Emitting a run without its sessions"))
}

// A run that outlasts others is read by itself, without its columns: those are in the list,
// wherever they are in it, and whatever include says.
func TestARunOfABurstKeepsItsColumns(t *testing.T) {
	t.Parallel()
	for _, include := range []string{"[]", "[sessions]"} {
		t.Run(include, func(t *testing.T) {
			t.Parallel()
			p := &toldPlatform{parts: map[string]any{"sessions": map[string]any{"data": []any{}}}}
			began := time.Now().Add(-100 * time.Second).Truncate(time.Second)
			const runs, last = 620, "r610"
			for i := range runs {
				p.runs = append(p.runs, toldRun{fmt.Sprint("r", i), "completed", began.Add(time.Duration(i) * time.Millisecond)})
			}
			p.runs[610].status = "running"
			p.runs = append(p.runs, toldRun{"new", "completed", time.Now().Add(-time.Second)})
			s := read(t, runsYAML(told(t, p), "workflows: [wf]", "list_lag: 5s", "include: "+include), memoryCursor, nil)
			require.Eventually(t, func() bool { return len(s.delivered()) == runs }, time.Minute, 5*time.Millisecond)
			p.settle(last)
			for id, run := range s.runs(runs + 1) {
				assert.Equal(t, map[string]any{"node.lead": id}, run["data"], id)
			}
		})
	}
}

// A run that is over goes no further: a session that it leaves queued tells no outcome.
func TestASessionThatNeverEndsIsNoOutcome(t *testing.T) {
	t.Parallel()
	p := &toldPlatform{runs: []toldRun{{"r1", "canceled", time.Now().Add(-time.Minute)}}}
	p.parts = map[string]any{"sessions": map[string]any{"data": []any{map[string]any{"id": "s", "run_id": "r1", "status": "queued"}}, "pagination": map[string]any{"page": 1, "page_size": 100, "has_next_page": false}}}
	s := read(t, runsYAML(told(t, p), "workflows: [wf]", "include_timeout: 50ms"), memoryCursor, nil)
	run := s.runs(1)["r1"]
	assert.NotContains(t, run, "outcome")
	assert.Len(t, run["sessions"], 1)
	assert.Equal(t, []string{"not_ready"}, s.meta("happyrobot_outcome"))
}

func TestWhatMayStillComeOfARunIsNotReady(t *testing.T) {
	t.Parallel()
	p := &toldPlatform{runs: []toldRun{{"r1", "completed", time.Now().Add(-time.Minute)}}}
	p.parts = map[string]any{
		"nodes": map[string]any{"data": []any{ // not in the order in which they ran
			map[string]any{"output_id": "late", "run_id": "r1", "name": "AI Extract", "status": "succeeded", "timestamp": "2026-03-10T14:00:02Z"},
			map[string]any{"output_id": "early", "run_id": "r1", "name": "AI Extract", "status": "succeeded", "timestamp": "2026-03-10T14:00:01Z"},
		}},
		"late":  map[string]any{"id": "late", "run_id": "r1", "data": map[string]any{"response": "late"}},
		"early": map[string]any{"id": "early", "run_id": "r1", "data": map[string]any{"response": "early"}},
	}
	s := read(t, runsYAML(told(t, p), "workflows: [wf]", "include_timeout: 50ms", "include: [outputs, credits]", "outputs: [AI Extract]"), memoryCursor, nil)
	run := s.runs(1)["r1"]
	assert.Equal(t, map[string]any{"AI Extract": "late"}, run["outputs"])
	assert.NotContains(t, run, "credits")
	assert.Equal(t, []string{"not_ready"}, s.meta("happyrobot_outcome"), "credits may come")
}
