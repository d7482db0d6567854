package callsim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// Options of a Sim. The zero value is a usable one.
type Options struct {
	APIKey          string        // "" takes any bearer token
	Seed            uint64        // 0 draws one
	Speed           float64       // how much faster than the wall calls live; default 60
	KeepOrder       bool          // replies are shuffled otherwise
	MaxBatch        int           // larger requests are refused with 413; default 100, negative for no limit
	Visibility      time.Duration // until a new call is listed
	TranscriptDelay time.Duration // simulated time from a call's end to its transcript; default 20s
	Latency         time.Duration // of every answer
}

// Sim is the pretend API, an http.Handler. Safe for concurrent use.
type Sim struct {
	opts Options
	mux  *http.ServeMux
	done chan struct{} // closed by Close: delayed answers end
	once sync.Once

	mu       sync.Mutex
	rng      *rand.Rand
	calls    []*call // in order of creation
	byID     map[string]*call
	faults   []*FaultState
	advanced time.Duration
	requests map[string]map[int]int // by operation and status; 0 is cut off
	largest  struct{ calls, bytes int }
}

// call is one placed call. Its life is computed from the time passed.
type call struct {
	id          string
	seq         uint64
	request     json.RawMessage // as received
	to          string
	custom      json.RawMessage // metadata as received, nil for none
	echoDropped bool
	created     time.Time
	listedAt    time.Time
	scheduled   time.Time
	canceled    bool
	deleted     bool
}

// New makes a Sim.
func New(opts Options) *Sim {
	if opts.Seed == 0 {
		opts.Seed = rand.Uint64() //nolint:gosec // a seed to repeat a run with
	}
	if opts.Speed == 0 {
		opts.Speed = 60
	}
	if opts.MaxBatch == 0 {
		opts.MaxBatch = 100
	}
	if opts.TranscriptDelay == 0 {
		opts.TranscriptDelay = 20 * time.Second
	}
	s := &Sim{
		opts: opts, done: make(chan struct{}),
		rng:  rand.New(rand.NewPCG(opts.Seed, 0)), //nolint:gosec // repeatable on purpose
		byID: map[string]*call{}, requests: map[string]map[int]int{},
	}
	s.route()
	return s
}

// Seed repeats this run when given as Options.Seed.
func (s *Sim) Seed() uint64 { return s.opts.Seed }

// Close ends delayed answers.
func (s *Sim) Close() { s.once.Do(func() { close(s.done) }) }

// Advance moves the calls' lives forward.
func (s *Sim) Advance(d time.Duration) {
	s.mu.Lock()
	s.advanced += d
	s.mu.Unlock()
}

// create places calls. The caller holds the lock.
func (s *Sim) create(requests []dialRequest, hide time.Duration, dropEcho bool) []*call {
	now := time.Now()
	made := make([]*call, len(requests))
	for i, r := range requests {
		seq := uint64(len(s.calls)) + 1
		c := &call{
			id: fmt.Sprintf("%08x%016x", uint32(s.opts.Seed), seq), seq: seq,
			request: r.raw, to: r.phone, custom: r.metadata, scheduled: r.scheduled,
			echoDropped: dropEcho, created: now, listedAt: now.Add(s.opts.Visibility + hide),
		}
		s.calls = append(s.calls, c)
		s.byID[c.id] = c
		made[i] = c
	}
	return made
}

// CallRecord is a call as the ground truth has it.
type CallRecord struct {
	ID      string
	To      string
	Custom  map[string]any // the metadata received, echoed or not
	Created time.Time
	Status  string
}

// Calls tells every call placed, in order of creation.
func (s *Sim) Calls() []CallRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]CallRecord, len(s.calls))
	for i, c := range s.calls {
		out[i] = CallRecord{ID: c.id, To: c.to, Created: c.created, Status: s.life(c).status}
		_ = json.Unmarshal(c.custom, &out[i].Custom)
	}
	return out
}

// CallsTo counts the calls placed to a number.
func (s *Sim) CallsTo(phone string) int { return s.CallsBy("phone_number")[phone] }

// CallsBy counts calls by the value at a dotted path of the request received,
// such as "metadata.lead_id". Calls without a value there count under "".
func (s *Sim) CallsBy(path string) map[string]int {
	s.mu.Lock()
	calls := s.calls
	s.mu.Unlock()
	counts := map[string]int{}
	for _, c := range calls {
		var v any
		_ = json.Unmarshal(c.request, &v)
		for _, step := range strings.Split(path, ".") {
			m, _ := v.(map[string]any)
			v = m[step]
		}
		switch v := v.(type) {
		case nil:
			counts[""]++
		default:
			counts[fmt.Sprint(v)]++
		}
	}
	return counts
}

// ByStatus counts calls by what they are now.
func (s *Sim) ByStatus() map[string]int {
	counts := map[string]int{}
	for _, c := range s.Calls() {
		counts[c.Status]++
	}
	return counts
}

// RequestCount is how often an operation was answered with a status; 0 is a
// connection cut without one.
type RequestCount struct {
	Operation string `json:"operation"`
	Status    int    `json:"status"`
	Count     int    `json:"count"`
}

// Stats are the requests so far and the largest dial among them.
type Stats struct {
	Requests     []RequestCount `json:"requests"`
	LargestBatch int            `json:"largest_batch"`
	LargestBody  int            `json:"largest_body_bytes"`
}

// Stats counts requests.
func (s *Sim) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{LargestBatch: s.largest.calls, LargestBody: s.largest.bytes, Requests: []RequestCount{}}
	for op, byStatus := range s.requests {
		for status, n := range byStatus {
			st.Requests = append(st.Requests, RequestCount{op, status, n})
		}
	}
	sort.Slice(st.Requests, func(i, j int) bool {
		a, b := st.Requests[i], st.Requests[j]
		return a.Operation < b.Operation || (a.Operation == b.Operation && a.Status < b.Status)
	})
	return st
}

// RequestsOf counts the requests of one operation, however answered.
func (s *Sim) RequestsOf(operation string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, count := range s.requests[operation] {
		n += count
	}
	return n
}

func (s *Sim) count(operation string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requests[operation] == nil {
		s.requests[operation] = map[int]int{}
	}
	s.requests[operation][status]++
}
