package callsim

import (
	"io"
	"net/http"

	"github.com/Jeffail/gabs/v2"
)

// maxOtherBytes is what the pretend API reads of a request that is no dial.
const maxOtherBytes = 1 << 20

// object is a JSON object of which nobody here knows the members.
type object = *gabs.Container

// listOf is a JSON list of objects.
func listOf(items []object) object {
	list := make([]any, len(items))
	for i, item := range items {
		list[i] = item.Data()
	}
	return gabs.Wrap(list)
}

// fields is an object with these members.
func fields(members map[string]any) object { return gabs.Wrap(members) }

// routeOther serves the operations that place and read no calls. What is written
// into an object is what later answers about it show.
func (s *Sim) routeOther() {
	s.routeAboutCalls()
	s.routeAnnotations()
	s.routeSetup()
}

// withBody registers an operation with a JSON object for a body, answered under
// the lock. A reply of nil with StatusOK is an empty 200. With any other status the
// reply is not looked at, and problem is the message.
func (s *Sim) withBody(pattern, operation string, answer func(*http.Request, object) (reply object, problem string, status int)) {
	s.api(pattern, operation, func(w http.ResponseWriter, req *http.Request) {
		body, problem := readObject(req)
		if problem != "" {
			s.fail(w, operation, http.StatusUnprocessableEntity, problem)
			return
		}
		s.rig.Lock()
		reply, problem, status := answer(req, body)
		b := reply.Bytes() // under the lock: later requests change the object
		s.rig.Unlock()
		switch {
		case status != http.StatusOK:
			s.fail(w, operation, status, problem)
		case reply == nil:
			s.rig.Answered(w, operation, http.StatusOK)
			w.WriteHeader(http.StatusOK)
		default:
			s.reply(w, operation, b)
		}
	})
}

// readObject reads a request's body; none is an empty object.
func readObject(req *http.Request) (body object, problem string) {
	b, err := io.ReadAll(io.LimitReader(req.Body, maxOtherBytes))
	if err == nil && len(b) == 0 {
		return gabs.New(), ""
	}
	if err == nil {
		body, err = gabs.ParseJSON(b)
	}
	if _, ok := body.Data().(map[string]any); err != nil || !ok {
		return nil, "the body must be a JSON object"
	}
	return body, ""
}

// missing names the first of the members that are no text.
func missing(body object, members ...string) (problem string) {
	for _, name := range members {
		if text, _ := body.S(name).Data().(string); text == "" {
			return name + " must be text"
		}
	}
	return ""
}

// merge copies the members named, where given.
func merge(into, from object, members ...string) {
	for _, name := range members {
		if from.Exists(name) {
			set(into, name, from.S(name).Data())
		}
	}
}

// set gives an object a member. Only what is no object could refuse it.
func set(into object, name string, value any) {
	if _, err := into.Set(value, name); err != nil {
		panic("callsim: " + err.Error())
	}
}
