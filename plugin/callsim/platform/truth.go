package platform

import (
	"context"
	"fmt"
	"time"
)

// RunRecord is the ground truth of one run.
type RunRecord struct {
	ID          string           `json:"id"`
	Workflow    string           `json:"workflow"` // its slug
	Environment string           `json:"environment"`
	Payloads    []map[string]any `json:"payloads"` // of each trigger: with Group there may be two
	Created     time.Time        `json:"created"`
	Status      string           `json:"status"`
	Over        bool             `json:"over"`
	Sessions    []string         `json:"sessions"` // their statuses now, from the oldest on
	EndsAs      string           `json:"ends_as"`  // the run's last status, known from the beginning
	Outcome     string           `json:"outcome"`  // the last session's last status, likewise; "" without sessions
}

// Runs returns every run there is, listed or not, in order of creation.
func (s *Sim) Runs() []RunRecord {
	s.rig.Lock()
	defer s.rig.Unlock()
	now := s.settle()
	out := make([]RunRecord, len(s.runs))
	for i, r := range s.runs {
		l := s.lifeOf(r, now)
		one := RunRecord{
			ID: r.id, Workflow: r.flow.Slug, Environment: r.environment, Created: r.created, Status: l.status, Over: l.over, Sessions: []string{}, EndsAs: r.plan.ends,
		}
		for _, what := range r.sent {
			one.Payloads = append(one.Payloads, what.payload)
		}
		for _, session := range l.sessions {
			one.Sessions = append(one.Sessions, session.status)
		}
		if n := len(r.plan.sessions); n > 0 {
			one.Outcome = r.plan.sessions[n-1].ends
		}
		if r.canceled {
			one.EndsAs, one.Outcome = canceled, ""
			if n := len(one.Sessions); n > 0 {
				one.Outcome = one.Sessions[n-1]
			}
		}
		out[i] = one
	}
	return out
}

// RunsBy counts how often a value at a dotted path of the payload, such as "dial_ref",
// started a run or was folded into one. Payloads without a value there count under "".
func (s *Sim) RunsBy(path string) map[string]int {
	s.rig.Lock()
	defer s.rig.Unlock()
	counts := map[string]int{}
	for _, r := range s.runs {
		for _, what := range r.sent {
			counts[valueAt(what.payload, path)]++
		}
	}
	return counts
}

// SessionsBy counts the sessions so far, which is how often a phone rang, likewise.
func (s *Sim) SessionsBy(path string) map[string]int {
	s.rig.Lock()
	defer s.rig.Unlock()
	now := s.settle()
	counts := map[string]int{}
	for _, r := range s.runs {
		if n := len(s.lifeOf(r, now).sessions); n > 0 {
			for _, what := range r.sent {
				counts[valueAt(what.payload, path)] += n
			}
		}
	}
	return counts
}

func valueAt(payload object, path string) string {
	v := at(payload, path)
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// ByStatus counts runs by what they are now.
func (s *Sim) ByStatus() map[string]int {
	s.rig.Lock()
	defer s.rig.Unlock()
	now := s.settle()
	counts := map[string]int{}
	for _, r := range s.runs {
		counts[s.stageOf(r, now).status]++
	}
	return counts
}

// SessionsByStatus counts sessions by what they are now.
func (s *Sim) SessionsByStatus() map[string]int {
	s.rig.Lock()
	defer s.rig.Unlock()
	now := s.settle()
	counts := map[string]int{}
	for _, r := range s.runs {
		for _, session := range s.lifeOf(r, now).sessions {
			counts[session.status]++
		}
	}
	return counts
}

// Requests counts the requests so far, by operation and status.
func (s *Sim) Requests() []RequestCount { return s.rig.Requests() }

// RequestsOf counts the requests of one operation, however answered. Those of no
// operation, and those with a wrong method, count as "unknown".
func (s *Sim) RequestsOf(operation string) int { return s.rig.RequestsOf(operation) }

// AwaitStruck waits until a rule, by the number that Inject returned, has struck n times.
// The client may not have noticed yet. It fails when ctx ends, and at once when the rule
// is gone or cannot strike so often.
func (s *Sim) AwaitStruck(ctx context.Context, rule, n int) error {
	return s.rig.AwaitStruck(ctx, rule, n)
}

// AwaitRequests waits until n requests of an operation were answered or cut off, as
// RequestsOf counts them. It fails when ctx ends, and at once for an operation that does
// not exist.
func (s *Sim) AwaitRequests(ctx context.Context, operation string, n int) error {
	return s.rig.AwaitRequests(ctx, operation, n)
}

// AwaitRuns waits until there are n runs, however they came to be. It fails when ctx ends.
// The client may not have its answer yet.
func (s *Sim) AwaitRuns(ctx context.Context, n int) error {
	return s.rig.Await(ctx, func() (bool, string, error) {
		return len(s.runs) >= n, fmt.Sprintf("%d of %d runs", len(s.runs), n), nil
	})
}
