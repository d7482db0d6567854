package callsim

import (
	"encoding/json"
	"io"
	"net/http"
)

// maxOtherBytes is what the pretend API reads of a request that is no dial.
const maxOtherBytes = 1 << 20

type object = map[string]any

// routeOther serves the operations that place and read no calls. What is written
// into an object is what later answers about it show.
func (s *Sim) routeOther() {
	s.routeAboutCalls()
	s.routeAnnotations()
	s.routeSetup()
}

// withBody registers an operation with a JSON object for a body, answered under
// the lock. An answer of nil is an empty 200.
func (s *Sim) withBody(pattern, operation string, answer func(*http.Request, object) (reply any, problem string, status int)) {
	s.api(pattern, operation, func(w http.ResponseWriter, req *http.Request) {
		body, problem := readObject(req)
		if problem != "" {
			s.fail(w, operation, http.StatusUnprocessableEntity, problem)
			return
		}
		s.mu.Lock()
		reply, problem, status := answer(req, body)
		b, err := json.Marshal(reply)
		s.mu.Unlock()
		switch {
		case status != http.StatusOK:
			s.fail(w, operation, status, problem)
		case err != nil:
			s.fail(w, operation, http.StatusInternalServerError, "the answer cannot be encoded")
		case reply == nil:
			s.answered(w, operation, http.StatusOK)
			w.WriteHeader(http.StatusOK)
		default:
			s.reply(w, operation, b)
		}
	})
}

// readObject reads a request's body; none is an empty object.
func readObject(req *http.Request) (object, string) {
	b, err := io.ReadAll(io.LimitReader(req.Body, maxOtherBytes))
	if err == nil && len(b) == 0 {
		return object{}, ""
	}
	var body object
	if err != nil || json.Unmarshal(b, &body) != nil || body == nil {
		return nil, "the body must be a JSON object"
	}
	return body, ""
}

// missing names the first of the members that are no text.
func missing(body object, members ...string) string {
	for _, name := range members {
		if v, ok := body[name].(string); !ok || v == "" {
			return name + " must be text"
		}
	}
	return ""
}

// merge copies the members named, where given.
func merge(into, from object, members ...string) {
	for _, name := range members {
		if v, given := from[name]; given {
			into[name] = v
		}
	}
}
