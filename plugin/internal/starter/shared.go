package starter

import (
	"sync"
	"sync/atomic"
)

// mostKnown is how many runs are remembered at least; twice as many at most.
const mostKnown = 25_000

// Shared is what all who start runs of a workflow with the same key know together. Safe for
// concurrent use; the zero Shared is ready.
type Shared struct {
	mu     sync.Mutex
	own    recent[string]   // the reference with which this process started a run, by the run's id
	opened recent[[]string] // the references that the trigger of a run was given for good, by the run's id

	first chan struct{} // closed with the first run that this process started; nil while nobody waits for that

	trigger atomic.Pointer[string] // the persistent id of the trigger; nil while it is not known
	columns atomic.Bool            // references are a column of the list

	several, noColumn sync.Once
}

// recent remembers what was added lately, in two halves.
type recent[V any] struct{ now, before map[string]V }

func (r *recent[V]) get(id string) (v V, ok bool) {
	if v, ok = r.now[id]; !ok {
		v, ok = r.before[id]
	}
	return v, ok
}

func (r *recent[V]) add(id string, v V) {
	if r.now == nil || len(r.now) >= mostKnown {
		r.now, r.before = make(map[string]V), r.now
	}
	r.now[id] = v
}

// started notes the run that a request of this process started. Of an answer that names
// several nobody knows which are its own: they are looked at like any other's. So is a run
// that an earlier answer named, of which the first reference stays.
func (s *Shared) started(ref string, runs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(runs) == 1 {
		if _, known := s.own.get(runs[0]); !known {
			s.own.add(runs[0], ref)
		}
	}
	if s.first == nil {
		s.first = make(chan struct{})
	}
	select {
	case <-s.first:
	default:
		close(s.first)
	}
}

// firstStarted is closed once this process started a run.
func (s *Shared) firstStarted() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil {
		s.first = make(chan struct{})
	}
	return s.first
}

// ownRef is the reference with which this process started a run, "" for a run of others.
func (s *Shared) ownRef(run string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ref, _ := s.own.get(run)
	return ref
}

// read notes the references of a run, which stay as they are.
func (s *Shared) read(run string, refs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened.add(run, refs)
}

// refsOf are the references in what the trigger of a run was given, if that was read.
func (s *Shared) refsOf(run string) (refs []string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened.get(run)
}

// triggerID is the persistent id of the workflow's trigger, "" while it is not known.
func (s *Shared) triggerID() string {
	if id := s.trigger.Load(); id != nil {
		return *id
	}
	return ""
}
