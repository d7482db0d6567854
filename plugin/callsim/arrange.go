package callsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Directions of a call.
const (
	inbound  = "Inbound"
	outbound = "Outbound"
)

// Arrival is calls that come by themselves, without a dial, with a fate that can
// be chosen. Whatever is not given is as for a dialed call.
type Arrival struct {
	Type  string          `json:"type,omitempty"`  // Inbound (default) or Outbound
	Count int             `json:"count,omitempty"` // default 1
	Call  json.RawMessage `json:"call,omitempty"`  // members of a dial, such as metadata; number_id and phone_number may be left out
	Ago   Duration        `json:"ago,omitempty"`   // the first was created so long ago, and has lived since; not before a call there is
	Every Duration        `json:"every,omitempty"` // from each one's creation to the next one's

	During string   `json:"during,omitempty"`  // status while they talk; default "In progress"
	EndsAs string   `json:"ends_as,omitempty"` // last status; may be a word that no documentation lists
	Talk   Duration `json:"talk,omitempty"`    // simulated; hours keep a call open. Negative: they never connect
	Silent bool     `json:"silent,omitempty"`  // they never get a transcript

	Show map[string]json.RawMessage `json:"show,omitempty"` // members as every answer shows them, such as {"metadata":null}
	Omit []string                   `json:"omit,omitempty"` // members that no answer shows
}

// Arrive makes calls arrive, and returns their ids in order of creation. An error names
// the field that is wrong, and no call has arrived then.
func (s *Sim) Arrive(a Arrival) ([]string, error) {
	if a.Type == "" {
		a.Type = inbound
	}
	if a.Type != inbound && a.Type != outbound {
		return nil, fmt.Errorf("type: must be %s or %s", inbound, outbound)
	}
	if a.Count == 0 {
		a.Count = 1
	}
	if a.Count < 0 || a.Ago < 0 || a.Every < 0 {
		return nil, errors.New("count, ago and every must not be negative")
	}
	if ends := time.Duration(a.Count-1) * time.Duration(a.Every); ends > time.Duration(a.Ago) {
		return nil, fmt.Errorf("ago: must be at least %v, or the last would be created in the future", ends)
	}
	s.rig.Lock()
	defer s.rig.Unlock()
	requests := make([]dialRequest, a.Count)
	for i := range requests {
		var err error
		if requests[i], err = a.request(len(s.calls) + i); err != nil {
			return nil, err
		}
	}
	today, now := s.rig.Today(), s.rig.Now()
	if first := today.Add(-time.Duration(a.Ago)); first.Before(s.rig.Newest()) && a.Ago > 0 {
		return nil, errors.New("ago: there is a newer call, and calls are in order of creation")
	}
	ids := make([]string, a.Count)
	for i := range requests {
		ago := time.Duration(a.Ago) - time.Duration(i)*time.Duration(a.Every)
		c := s.enter(&requests[i], today.Add(-ago), now-ago)
		c.arranged = &a
		ids[i] = c.id
	}
	return ids, nil
}

// request completes and checks the members of a dial.
func (a *Arrival) request(n int) (dialRequest, error) {
	members := map[string]json.RawMessage{"number_id": []byte(`"` + firstNumber + `"`), "phone_number": fmt.Appendf(nil, `"+1202555%04d"`, n%10000)}
	if a.Call != nil {
		if err := json.Unmarshal(a.Call, &members); err != nil || members == nil {
			return dialRequest{}, errors.New("call: must be an object")
		}
	}
	raw, err := json.Marshal(members)
	if err != nil {
		return dialRequest{}, err
	}
	r, problem := parseDial(raw)
	if problem != "" {
		return r, errors.New("call: " + problem)
	}
	return r, nil
}

// dress gives a call, as the API shows it, the members that were arranged.
func (a *Arrival) dress(shown []byte) []byte {
	if len(a.Show) == 0 && len(a.Omit) == 0 {
		return shown
	}
	var members map[string]json.RawMessage
	_ = json.Unmarshal(shown, &members)
	maps.Copy(members, a.Show)
	for name := range members {
		if slices.Contains(a.Omit, name) {
			delete(members, name)
		}
	}
	dressed, _ := json.Marshal(members)
	return dressed
}
