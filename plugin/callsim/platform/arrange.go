package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Arrival is runs that come by themselves, without a trigger, with a fate that can be
// chosen: a history, or runs that somebody else started. Whatever is not given is as for a
// run that was triggered.
type Arrival struct {
	Workflow    string         `json:"workflow,omitempty"`    // slug or id; default the first
	Environment string         `json:"environment,omitempty"` // default production
	E2E         bool           `json:"e2e,omitempty"`         // they are tests
	Count       int            `json:"count,omitempty"`       // default 1
	Payload     map[string]any `json:"payload,omitempty"`     // phone_number is filled in unless given
	Ago         Duration       `json:"ago,omitempty"`         // the first was created so long ago, and has lived since; not before a run there is
	Every       Duration       `json:"every,omitempty"`       // from each one's creation to the next one's
	Inbound     bool           `json:"inbound,omitempty"`     // somebody called us
	Fate

	Show map[string]json.RawMessage `json:"show,omitempty"` // members as the list and the run show them, such as {"status":"archived"}
	Omit []string                   `json:"omit,omitempty"` // members that neither shows
}

// dress gives a run, as the API shows it, the members that were arranged.
func (r *run) dress(shown object) object {
	for name, value := range r.show {
		shown[name] = value
	}
	for _, name := range r.omit {
		delete(shown, name)
	}
	return shown
}

// Validate reports a fate that no run can have.
func (f Fate) Validate() error {
	if f.Talk < 0 || f.Turns < 0 || f.Turns > messagesOfSession {
		return fmt.Errorf("talk and turns must not be negative, turns at most %d", messagesOfSession)
	}
	if len(f.Sessions) > sessionsOfRun {
		return fmt.Errorf("sessions: at most %d", sessionsOfRun)
	}
	return nil
}

// given says whether anything is.
func (f Fate) given() bool {
	return f.Sessions != nil || f.Run != "" || f.Talk != 0 || f.Turns != 0 || f.Extract != nil
}

// decided is the fate of the runs that hold a value.
type decided struct {
	value string
	fate  Fate
}

// Decide gives a fate to all runs that are started from now on whose payload has a value at
// any depth, such as a number; "" is every run. What was decided last comes first. It panics
// when no run can have that fate.
func (s *Sim) Decide(value string, f Fate) {
	if err := f.Validate(); err != nil {
		panic("callsim: " + err.Error())
	}
	s.rig.Lock()
	defer s.rig.Unlock()
	s.decided = append(s.decided, decided{value, f})
}

// fateOf is what was decided about a payload. The caller holds the lock.
func (s *Sim) fateOf(payload object) Fate {
	for _, d := range slices.Backward(s.decided) {
		if d.value == "" || holds(payload, d.value) {
			return d.fate
		}
	}
	return Fate{}
}

// Arrive makes runs arrive, and returns their ids in order of creation. They do not wait in
// line. An error names the field that is wrong, and no run has arrived then.
func (s *Sim) Arrive(a Arrival) ([]string, error) {
	if a.Count == 0 {
		a.Count = 1
	}
	if a.Environment == "" {
		a.Environment = Production
	}
	if a.Count < 0 || a.Ago < 0 || a.Every < 0 {
		return nil, errors.New("count, ago and every must not be negative")
	}
	if err := a.Validate(); err != nil {
		return nil, err
	}
	if ends := time.Duration(a.Count-1) * time.Duration(a.Every); ends > time.Duration(a.Ago) {
		return nil, fmt.Errorf("ago: must be at least %v, or the last would be created in the future", ends)
	}
	s.rig.Lock()
	defer s.rig.Unlock()
	flow := s.flows[0]
	if a.Workflow != "" {
		flow = s.flowOf(a.Workflow)
	}
	if flow == nil {
		return nil, fmt.Errorf("workflow: there is no %q", a.Workflow)
	}
	now, today := s.settle(), s.rig.Today()
	if a.Ago > 0 && today.Add(-time.Duration(a.Ago)).Before(s.rig.Newest()) {
		return nil, errors.New("ago: there is a newer run, and runs are in order of creation")
	}
	ids := make([]string, a.Count)
	for i := range ids {
		payload := object{"phone_number": fmt.Sprintf("+1202555%04d", len(s.runs)%10000)}
		maps.Copy(payload, a.Payload)
		ago := time.Duration(a.Ago) - time.Duration(i)*time.Duration(a.Every)
		r := s.enter(flow, a.Environment, &sent{payload: payload}, today.Add(-ago), now-ago)
		if a.given() {
			r.plan = s.planOf(r, a.Fate)
		}
		r.e2e, r.arrived, r.show, r.omit = a.E2E, now, a.Show, a.Omit
		if a.Inbound {
			r.direction = "inbound"
		}
		r.started, r.began = true, r.entered+scheduledFor
		ids[i] = r.id
	}
	return ids, nil
}
