package callsim

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/Jeffail/gabs/v2"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
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
	s.rig.Lock()
	defer s.rig.Unlock()
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
	s.rig.Lock()
	calls := s.calls
	s.rig.Unlock()
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
	s.rig.Lock()
	defer s.rig.Unlock()
	counts := map[string]int{}
	for _, c := range s.calls {
		counts[s.life(c).status]++
	}
	return counts
}

// RequestCount is how often an operation was answered with a status; 0 is a
// connection cut without one.
type RequestCount = rig.RequestCount

// Stats are the requests so far and the largest dial among them.
type Stats struct {
	Requests     []RequestCount `json:"requests"`
	LargestBatch int            `json:"largest_batch"`
	LargestBody  int            `json:"largest_body_bytes"`
}

// Stats counts requests.
func (s *Sim) Stats() Stats {
	s.rig.Lock()
	largest := s.largest
	s.rig.Unlock()
	return Stats{Requests: s.rig.Requests(), LargestBatch: largest.calls, LargestBody: largest.bytes}
}

// RequestsOf counts the requests of one operation, however answered. Those of no
// operation, and those with a wrong method, count as "unknown".
func (s *Sim) RequestsOf(operation string) int { return s.rig.RequestsOf(operation) }
