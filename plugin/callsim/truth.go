package callsim

import (
	"encoding/json"
	"fmt"
	"sort"
	"time"

	"github.com/Jeffail/gabs/v2"
)

// CallRecord is a call as the ground truth has it.
type CallRecord struct {
	ID      string         `json:"id"`
	Type    string         `json:"type"`
	To      string         `json:"to"`               // the other end's number, which calls in when Inbound
	Custom  map[string]any `json:"custom,omitempty"` // the metadata received, echoed or not
	Created time.Time      `json:"created"`
	Status  string         `json:"status"`
	Final   bool           `json:"final"`
	EndsAs  string         `json:"ends_as"` // its last status, known from the beginning
}

// Calls returns every call there is, deleted ones included, in order of creation.
func (s *Sim) Calls() []CallRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]CallRecord, len(s.calls))
	for i, c := range s.calls {
		l := s.life(c)
		out[i] = CallRecord{ID: c.id, Type: c.kind(), To: c.asked.phone, Created: c.created, Status: l.status, Final: l.final}
		if out[i].EndsAs, _ = fate(c); c.canceled {
			out[i].EndsAs = l.status
		}
		_ = json.Unmarshal(c.asked.metadata, &out[i].Custom)
	}
	return out
}

// CallsTo counts the calls to a number.
func (s *Sim) CallsTo(phone string) int { return s.CallsBy("phone_number")[phone] }

// CallsBy counts calls by the value at a dotted path of the request received,
// such as "metadata.lead_id". Calls without a value there count under "".
func (s *Sim) CallsBy(path string) map[string]int {
	s.mu.Lock()
	calls := s.calls
	s.mu.Unlock()
	counts := map[string]int{}
	for _, c := range calls {
		asked, _ := gabs.ParseJSON(c.asked.raw) // an object, or no call had come of it
		if v := asked.Path(path).Data(); v == nil {
			counts[""]++
		} else {
			counts[fmt.Sprint(v)]++
		}
	}
	return counts
}

// ByStatus counts calls by what they are now.
func (s *Sim) ByStatus() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := map[string]int{}
	for _, c := range s.calls {
		counts[s.life(c).status]++
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

// RequestsOf counts the requests of one operation, however answered. Those of no
// operation, and those with a wrong method, count as "unknown".
func (s *Sim) RequestsOf(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requestsOf(operation)
}

// requestsOf counts likewise. The caller holds the lock.
func (s *Sim) requestsOf(operation string) (n int) {
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
	s.wake()
}
