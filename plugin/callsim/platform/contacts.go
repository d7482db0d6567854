package platform

import (
	"net/http"
	"time"
)

// communicated says whether a session made its number a contact, and is listed for it: one
// that waits, that failed or that was canceled is not.
func communicated(l sessionLife) bool {
	return l.status != queued && l.status != failed && l.status != canceled
}

// contactOf finds when a number became a contact. The caller holds the lock.
func (s *Sim) contactOf(number string) (since time.Time, ok bool) {
	now := s.settle()
	for _, r := range s.byPhone[number] {
		for _, session := range s.lifeOf(r, now).sessions {
			if communicated(session) {
				return s.stamp(r, session.beganAt), true
			}
		}
	}
	return since, false
}

func (s *Sim) resolveContact(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	kind, value := q.oneOf("type", "phone_number", "email"), q.text("value")
	if kind == "" || value == "" {
		q.wrong("", "must have required property 'type' and 'value'")
	}
	if s.refused(w, opContact, q) {
		return
	}
	s.rig.Lock()
	since, ok := s.contactOf(value)
	s.rig.Unlock()
	if !ok || kind != "phone_number" {
		s.fail(w, opContact, http.StatusNotFound, "Contact not found")
		return
	}
	s.reply(w, opContact, object{
		"id": s.id(kindContact, 1), "type": kind, "value": value, "contact_summary": "Confirms appointments by phone.",
		"extracted_attributes": object{"preferred_time": "morning"}, "created_at": stampText(since), "updated_at": stampText(since),
	})
}

// sessionsByCaller lists the sessions of a number. Until the first has rung, nobody knows it.
func (s *Sim) sessionsByCaller(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	number, from, to := q.text("caller_id"), q.moment("start_date"), q.moment("end_date")
	want, newestFirst := q.page(100, 50), q.newestFirst("desc")
	if number == "" {
		q.wrong("caller_id", "must NOT have fewer than 1 characters")
	}
	if s.refused(w, opCaller, q) {
		return
	}
	s.rig.Lock()
	var shown any
	if _, ok := s.contactOf(number); ok {
		found := []object{}
		for _, session := range s.sessionsOf(s.byPhone[number], communicated) {
			at, _ := time.Parse(layout, session["timestamp"].(string))
			if (from.IsZero() || s.from(at, from)) && (to.IsZero() || s.from(to, at)) {
				found = append(found, session)
			}
		}
		shown = pageOf(found, want, newestFirst)
	}
	s.rig.Unlock()
	if shown == nil {
		s.fail(w, opCaller, http.StatusNotFound, "Contact not found")
		return
	}
	s.reply(w, opCaller, shown)
}
