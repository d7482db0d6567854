package platform

import (
	"bytes"
	"net/http"
	"time"
)

func (s *Sim) describeKey(w http.ResponseWriter, req *http.Request, body []byte) {
	if q := s.query(req, body); s.refused(w, opDescribeKey, q) {
		return
	}
	key := "0000" + bearer(req)
	described := object{
		"id": fixedID(kindKey, 1), "orgId": fixedID(kindOrg, 1), "org_slug": "example-freight", "org_name": "Example Freight", "name": "stream-connector",
		"prefix": "sk_live_", "lastFour": key[len(key)-4:], "createdAt": published, "expiresAt": nil, "lastUsedAt": nil, "revokedAt": nil,
	}
	if !s.opts.KeyExpires.IsZero() {
		described["expiresAt"] = stampText(s.opts.KeyExpires)
	}
	s.reply(w, opDescribeKey, described)
}

// usageTotals counts the minutes of all sessions of runs that were created in a time.
func (s *Sim) usageTotals(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	from, to := q.moment("start"), q.moment("end")
	if from.IsZero() || to.IsZero() {
		q.wrong("", "must have required property 'start' and 'end'")
	}
	if s.refused(w, opUsage, q) {
		return
	}
	s.rig.Lock()
	now, minutes := s.settle(), 0.0
	for _, r := range s.runs {
		if !r.created.Before(from) && !r.created.After(to) {
			minutes += talked(s.lifeOf(r, now)).Minutes()
		}
	}
	s.rig.Unlock()
	s.reply(w, opUsage, object{
		"customerId": fixedID(kindOrg, 1), "startDate": stampText(from), "endDate": stampText(to),
		"usage": object{"totalMinutes": minutes, "totalEmails": 0, "totalText": 0},
	})
}

// talked is how long the sessions of a run were connected.
func talked(l life) (sum time.Duration) {
	for _, session := range l.sessions {
		if session.over && session.connectedAt > 0 {
			sum += session.endedAt - session.connectedAt
		}
	}
	return sum
}

func (s *Sim) runCredits(w http.ResponseWriter, req *http.Request, body []byte) {
	if q := s.query(req, body); s.refused(w, opCredits, q) {
		return
	}
	s.onRun(w, req, opCredits, "", func(r *run, l life, _ time.Duration) any {
		credits := talked(l).Minutes()
		return object{
			"run_id": r.id, "workflow_id": r.flow.ID, "unit": "credits", "total_credits": credits, "components": []object{{"type": "voice", "credits": credits}},
		}
	})
}

func (s *Sim) phoneNumbers(w http.ResponseWriter, req *http.Request, body []byte) {
	if q := s.query(req, body); s.refused(w, opPhoneNumbers, q) {
		return
	}
	s.reply(w, opPhoneNumbers, []object{{"id": "number-1", "name": "Main", "number": "+12025550150", "caller_id": "us", "type": "twilio"}})
}

// twinSQL runs nothing. As the real one, it stands behind a firewall that refuses by content.
func (s *Sim) twinSQL(w http.ResponseWriter, req *http.Request, body []byte) {
	if q := s.query(req, nil); s.refused(w, opTwin, q) {
		return
	}
	if bytes.ContainsRune(body, '\'') {
		s.blocked(w, opTwin, http.StatusForbidden)
		return
	}
	members, ok := s.members(w, req, opTwin, body, "sql")
	if !ok {
		return
	}
	if _, ok := members["sql"].(string); !ok {
		s.invalid(w, opTwin, http.StatusBadRequest, "body/sql", "must be string")
		return
	}
	s.reply(w, opTwin, object{"command": "SELECT", "rowCount": 0, "fields": []object{}, "rows": []object{}, "truncated": false, "truncationReason": nil, "returnedRows": 0})
}
