package platform

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

// refuse answers a request that a fault keeps from being done.
func (s *Sim) refuse(w http.ResponseWriter, operation string, f *rig.Fault) {
	f.SetRetryAfter(w.Header())
	switch f.Kind {
	case Firewall:
		s.blocked(w, operation, f.Status)
	case Redirect:
		s.redirect(w, operation)
	default:
		s.fail(w, operation, f.Status, "refused on request")
	}
}

// blocked is what a firewall answers.
func (s *Sim) blocked(w http.ResponseWriter, operation string, status int) {
	s.rig.Reply(w, operation, status, "text/html", []byte("<html><head><title>Request blocked</title></head><body><h1>403 ERROR</h1></body></html>"))
}

// limited refuses what comes beyond the rate, and says whether it did.
func (s *Sim) limited(w http.ResponseWriter, operation string) bool {
	if s.opts.RateLimit <= 0 {
		return false
	}
	rate := float64(s.opts.RateLimit)
	s.rig.Lock()
	now := time.Now()
	s.tokens = min(rate, s.tokens+now.Sub(s.filled).Seconds()*rate)
	s.filled = now
	over := s.tokens < 1
	if !over {
		s.tokens--
	}
	s.rig.Unlock()
	if over {
		w.Header().Set("Retry-After", "1")
		s.failJSON(w, operation, http.StatusTooManyRequests, object{"error": "Too Many Requests", "message": "Rate limit exceeded", "statusCode": http.StatusTooManyRequests})
	}
	return over
}

// redirect leads to a login page, which answers 200.
func (s *Sim) redirect(w http.ResponseWriter, operation string) {
	w.Header().Set("Location", loginPath)
	s.rig.Reply(w, operation, http.StatusTemporaryRedirect, "text/html", nil)
}

// fail answers with an error, in one of the forms that errors have. From 502 on it is the
// page of a CDN as often as not.
func (s *Sim) fail(w http.ResponseWriter, operation string, status int, message string) {
	s.rig.Lock()
	form := s.rig.Rand().IntN(2)
	s.rig.Unlock()
	switch {
	case form == 0 && status >= http.StatusBadGateway:
		s.rig.Reply(w, operation, status, "text/html", []byte("<html><body><h1>"+http.StatusText(status)+"</h1></body></html>"))
	case form == 0:
		s.failJSON(w, operation, status, map[string]any{"message": message})
	default:
		s.failJSON(w, operation, status, map[string]any{"error": message})
	}
}

func (s *Sim) failJSON(w http.ResponseWriter, operation string, status int, members map[string]any) {
	b, _ := json.Marshal(members)
	s.rig.Reply(w, operation, status, "application/json", b)
}

// reply answers 200.
func (s *Sim) reply(w http.ResponseWriter, operation string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("callsim: " + err.Error())
	}
	s.rig.Reply(w, operation, http.StatusOK, "application/json; charset=utf-8", b)
}

// object is a JSON object of an answer.
type object = map[string]any
