package callsim

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/Jeffail/gabs/v2"
)

// annotations are what users write on a call.
type annotations struct {
	notes, ratings []object
	viewedBy       []any // email addresses
}

// routeAnnotations serves notes, ratings and views. Only their own answers show
// what was written: reading the call does not.
func (s *Sim) routeAnnotations() {
	written := map[string]*annotations{}
	annotate := func(pattern, operation string, change func(*http.Request, object, *annotations) string) {
		s.withBody(pattern, operation, func(req *http.Request, body object) (object, string, int) {
			c := s.byID[req.PathValue("id")]
			if c == nil || c.deleted {
				return nil, "not found", http.StatusNotFound
			}
			if written[c.id] == nil {
				written[c.id] = &annotations{viewedBy: []any{}}
			}
			a := written[c.id]
			if problem := change(req, body, a); problem != "" {
				return nil, problem, http.StatusUnprocessableEntity
			}
			if operation == "setCallRating" {
				return nil, "", http.StatusOK // documented: no body
			}
			reply, err := gabs.ParseJSON(s.appendCall(nil, c))
			if err != nil {
				return nil, "the call cannot be read", http.StatusInternalServerError
			}
			set(reply, "notes", listOf(a.notes).Data())
			set(reply, "ratings", listOf(a.ratings).Data())
			set(reply, "viewed_by", a.viewedBy)
			return reply, "", http.StatusOK
		})
	}
	annotate("POST /calls/{id}/notes", "addNote", func(_ *http.Request, body object, a *annotations) string {
		if !body.Exists("id") { // whether the caller chooses it is not documented
			set(body, "id", fmt.Sprintf("note-%d", len(a.notes)+1))
		}
		if problem := missing(body, "id"); problem != "" {
			return problem
		}
		a.notes = append(a.notes, body)
		return ""
	})
	note := func(change func(notes []object, at int, body object) []object) func(*http.Request, object, *annotations) string {
		return func(req *http.Request, body object, a *annotations) string {
			at := slices.IndexFunc(a.notes, func(n object) bool { return n.S("id").Data() == req.PathValue("noteId") })
			if at < 0 {
				return "no such note"
			}
			a.notes = change(a.notes, at, body)
			return ""
		}
	}
	annotate("PATCH /calls/{id}/notes/{noteId}", "updateNote", note(func(notes []object, at int, body object) []object {
		merge(notes[at], body, "content", "flagged", "user_id", "created_at")
		return notes
	}))
	annotate("DELETE /calls/{id}/notes/{noteId}", "deleteNote", note(func(notes []object, at int, _ object) []object {
		return slices.Delete(notes, at, at+1)
	}))
	annotate("PATCH /calls/{id}/viewed", "setCallViewed", func(_ *http.Request, body object, a *annotations) string {
		problem := missing(body, "email")
		if email := body.S("email").Data(); problem == "" && !slices.Contains(a.viewedBy, email) {
			a.viewedBy = append(a.viewedBy, email)
		}
		return problem
	})
	annotate("PATCH /calls/{id}/ratings", "setCallRating", func(_ *http.Request, body object, a *annotations) string {
		if problem := missing(body, "emoji", "email", "operation"); problem != "" {
			return problem
		}
		member := func(o object, name string) any { return o.S(name).Data() }
		a.ratings = slices.DeleteFunc(a.ratings, func(r object) bool {
			return member(r, "email") == member(body, "email") && member(r, "emoji") == member(body, "emoji")
		})
		if member(body, "operation") == "add" {
			_ = body.Delete("operation") // which is there
			a.ratings = append(a.ratings, body)
		}
		return ""
	})
}
