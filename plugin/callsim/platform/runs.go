package platform

import (
	"encoding/json"
	"net/http"
	"slices"
	"sort"
	"time"
)

// The largest page of a list of runs.
const maxRuns = 2000

// listing is what a list of runs is asked for.
type listing struct {
	page                       page
	newestFirst                bool
	status, e2e, annotation    string
	from, to                   time.Time
	completedFrom, completedTo time.Time
}

func (s *Sim) listRuns(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	want := listing{
		page: q.page(maxRuns, 100), newestFirst: q.newestFirst("desc"), status: q.oneOf("status", scheduled, running, completed, canceled, failed),
		from: q.moment("start_date"), to: q.moment("end_date"), completedFrom: q.moment("completed_start_date"), completedTo: q.moment("completed_end_date"),
		annotation: q.oneOf("annotation", "correct", "incorrect", "critical"), e2e: q.oneOf("is_e2e_test", "true", "false"),
	}
	if s.refused(w, opListRuns, q) {
		return
	}
	s.rig.Lock()
	flow := s.flowOf(req.PathValue("workflow_id"))
	var rows []object
	total := 0
	if flow != nil {
		now := s.settle()
		found := s.listed(flow, want, now)
		total = len(found)
		from, to := want.page.bounds(total)
		if want.newestFirst {
			from, to = total-to, total-from
		}
		rows = make([]object, 0, to-from)
		for _, r := range found[from:to] {
			rows = append(rows, s.row(r, s.lifeOf(r, now)))
		}
		if want.newestFirst {
			slices.Reverse(rows)
		}
	}
	s.rig.Unlock()
	if flow == nil {
		s.fail(w, opListRuns, http.StatusNotFound, "Workflow not found")
		return
	}
	pagination := want.page.camel(total)
	if s.opts.SnakePages {
		pagination = want.page.snake(total)
	}
	s.reply(w, opListRuns, object{"data": rows, "pagination": pagination})
}

// listed are the runs of a workflow that a list shows, oldest first by their stamps. The
// caller holds the lock.
func (s *Sim) listed(flow *workflow, want listing, now time.Duration) []*run {
	if want.annotation != "" {
		return nil // nobody annotates here
	}
	runs, wall := flow.runs, time.Now()
	if s.rig.ClockSet() { // so their order is not that of their creation
		runs = slices.Clone(runs)
		slices.SortStableFunc(runs, func(a, b *run) int { return a.created.Compare(b.created) })
	}
	if !want.from.IsZero() {
		runs = runs[sort.Search(len(runs), func(i int) bool { return s.from(runs[i].created, want.from) }):]
	}
	if !want.to.IsZero() {
		runs = runs[:sort.Search(len(runs), func(i int) bool { return !s.from(want.to, runs[i].created) })]
	}
	found := make([]*run, 0, len(runs))
	for _, r := range runs {
		if !wall.Before(r.listedAt) && s.matches(r, want, now) {
			found = append(found, r)
		}
	}
	return found
}

func (s *Sim) matches(r *run, want listing, now time.Duration) bool {
	if want.e2e != "" && (want.e2e == "true") != r.e2e {
		return false
	}
	if want.status == "" && want.completedFrom.IsZero() && want.completedTo.IsZero() {
		return true
	}
	l := s.stageOf(r, now)
	if want.status != "" && l.status != want.status {
		return false
	}
	if want.completedFrom.IsZero() && want.completedTo.IsZero() {
		return true
	}
	at, over := s.completedAt(r, l)
	return over && (want.completedFrom.IsZero() || s.from(at, want.completedFrom)) && (want.completedTo.IsZero() || s.from(want.completedTo, at))
}

// from says whether a moment counts as one from another on. Whether the bounds of a list are
// in it is not documented.
func (s *Sim) from(at, bound time.Time) bool {
	return at.After(bound) || at.Equal(bound) && !s.opts.ExclusiveDates
}

// completedAt is the time of a run's last output. A run that was canceled before its start
// has none, so it has no such time.
func (s *Sim) completedAt(r *run, l life) (at time.Time, ok bool) {
	if !l.over || !r.started {
		return at, false
	}
	return s.stamp(r, l.lastAt), true
}

// head are the members that a run has in the list and alone.
func (s *Sim) head(r *run, l life) object {
	shown := object{
		"id": r.id, "org_id": fixedID(kindOrg, 1), "version_id": r.flow.versionOf(r.environment), "status": l.status, "annotation": nil,
		"timestamp": stampText(r.created), "completed_at": nil, "execution_environment": r.environment, "is_e2e_test": r.e2e,
	}
	if at, ok := s.completedAt(r, l); ok {
		shown["completed_at"] = stampText(at)
	}
	return shown
}

// row is a run as the list shows it.
func (s *Sim) row(r *run, l life) object {
	shown := s.head(r, l)
	shown["use_case_id"] = r.flow.ID
	shown["input_tokens"], shown["output_tokens"] = nil, nil
	if l.over && len(l.sessions) > 0 {
		shown["input_tokens"], shown["output_tokens"] = 1200, 340
	}
	shown["data"] = s.columnsOf(r, l)
	return r.dress(shown)
}

// columnsOf are the columns of the table of runs: members of the trigger and what the nodes
// found. Objects and lists are JSON as text.
func (s *Sim) columnsOf(r *run, l life) object {
	data := object{}
	if l.deleted || r.columns == ColumnsNone {
		return data
	}
	nodes := r.flow.nodes()
	if r.columns == ColumnsAtOnce || l.over {
		path := ""
		if r.flow.Trigger == IncomingHook {
			path = "data."
		}
		for name, value := range r.sent[0].payload {
			data[columnOf(nodes[0], path+name)] = flat(value)
		}
	}
	if l.talked() {
		data[columnOf(nodes[1], "transcript")] = spokenText
	}
	if l.outputs {
		for name, value := range r.plan.extract {
			data[columnOf(nodes[2], "response."+name)] = value
		}
	}
	return data
}

// flat is a value as a column shows it.
func flat(v any) any {
	switch v.(type) {
	case object, []any, []object:
		b, _ := json.Marshal(v)
		return string(b)
	}
	return v
}

// onRun answers an operation on one run, under the lock. A nil answer is 404, in the words given.
func (s *Sim) onRun(w http.ResponseWriter, req *http.Request, operation, missing string, answer func(r *run, l life, now time.Duration) any) {
	s.rig.Lock()
	now := s.settle()
	r := s.byID[req.PathValue("run_id")]
	var shown any
	if r != nil && !time.Now().Before(r.listedAt) {
		shown = answer(r, s.lifeOf(r, now), now)
	} else {
		missing = "Run not found"
	}
	s.rig.Unlock()
	switch shown := shown.(type) {
	case nil:
		s.fail(w, operation, http.StatusNotFound, missing)
	case refusal:
		s.fail(w, operation, shown.status, shown.message)
	default:
		s.reply(w, operation, shown)
	}
}

// refusal is an answer that is none.
type refusal struct {
	status  int
	message string
}

func (s *Sim) getRun(w http.ResponseWriter, req *http.Request, body []byte) {
	if q := s.query(req, body); s.refused(w, opGetRun, q) {
		return
	}
	s.onRun(w, req, opGetRun, "", func(r *run, l life, _ time.Duration) any {
		shown := s.head(r, l)
		shown["workflow_id"] = r.flow.ID
		return r.dress(shown)
	})
}

// cancelRun ends a run, and a call that is going on. What a finished run answers is not
// documented: 400 here.
func (s *Sim) cancelRun(w http.ResponseWriter, req *http.Request, _ []byte) {
	if q := s.query(req, nil); s.refused(w, opCancelRun, q) {
		return
	}
	s.onRun(w, req, opCancelRun, "", func(r *run, l life, now time.Duration) any {
		if l.over {
			return refusal{http.StatusBadRequest, "Run is not active"}
		}
		s.cancel(r, now)
		return object{"status": canceled}
	})
}

// cancel ends a run that is not over. The caller holds the lock.
func (s *Sim) cancel(r *run, now time.Duration) {
	r.canceled, r.canceledAt = true, now
	s.rig.Wake()
}
