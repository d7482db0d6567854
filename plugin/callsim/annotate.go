package callsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// annotations are what users write on a call.
type annotations struct{ notes, ratings, viewedBy []any }

// routeAnnotations serves notes, ratings and views. Only their own answers show
// what was written: reading the call does not.
func (s *Sim) routeAnnotations() {
	written := map[string]*annotations{}
	annotate := func(pattern, operation string, change func(*http.Request, object, *annotations) string) {
		s.withBody(pattern, operation, func(req *http.Request, body object) (any, string, int) {
			c := s.byID[req.PathValue("id")]
			if c == nil || c.deleted {
				return nil, "not found", http.StatusNotFound
			}
			if written[c.id] == nil {
				written[c.id] = &annotations{notes: []any{}, ratings: []any{}, viewedBy: []any{}}
			}
			a := written[c.id]
			if problem := change(req, body, a); problem != "" {
				return nil, problem, http.StatusUnprocessableEntity
			}
			if operation == "setCallRating" {
				return nil, "", http.StatusOK // documented: no body
			}
			var reply map[string]json.RawMessage
			if err := json.Unmarshal(s.appendCall(nil, c), &reply); err != nil {
				return nil, "the call cannot be read", http.StatusInternalServerError
			}
			for name, list := range map[string][]any{"notes": a.notes, "ratings": a.ratings, "viewed_by": a.viewedBy} {
				reply[name], _ = json.Marshal(list)
			}
			return reply, "", http.StatusOK
		})
	}
	annotate("POST /calls/{id}/notes", "addNote", func(_ *http.Request, body object, a *annotations) string {
		if _, given := body["id"]; !given { // whether the caller chooses it is not documented
			body["id"] = fmt.Sprintf("note-%d", len(a.notes)+1)
		}
		if problem := missing(body, "id"); problem != "" {
			return problem
		}
		a.notes = append(a.notes, body)
		return ""
	})
	note := func(change func(notes []any, at int, body object) []any) func(*http.Request, object, *annotations) string {
		return func(req *http.Request, body object, a *annotations) string {
			at := slices.IndexFunc(a.notes, func(n any) bool { return n.(object)["id"] == req.PathValue("noteId") })
			if at < 0 {
				return "no such note"
			}
			a.notes = change(a.notes, at, body)
			return ""
		}
	}
	annotate("PATCH /calls/{id}/notes/{noteId}", "updateNote", note(func(notes []any, at int, body object) []any {
		merge(notes[at].(object), body, "content", "flagged", "user_id", "created_at")
		return notes
	}))
	annotate("DELETE /calls/{id}/notes/{noteId}", "deleteNote", note(func(notes []any, at int, _ object) []any {
		return slices.Delete(notes, at, at+1)
	}))
	annotate("PATCH /calls/{id}/viewed", "setCallViewed", func(_ *http.Request, body object, a *annotations) string {
		problem := missing(body, "email")
		if problem == "" && !slices.Contains(a.viewedBy, body["email"]) {
			a.viewedBy = append(a.viewedBy, body["email"])
		}
		return problem
	})
	annotate("PATCH /calls/{id}/ratings", "setCallRating", func(_ *http.Request, body object, a *annotations) string {
		if problem := missing(body, "emoji", "email", "operation"); problem != "" {
			return problem
		}
		same := func(r any) bool { return r.(object)["email"] == body["email"] && r.(object)["emoji"] == body["emoji"] }
		a.ratings = slices.DeleteFunc(a.ratings, same)
		if body["operation"] == "add" {
			delete(body, "operation")
			a.ratings = append(a.ratings, body)
		}
		return ""
	})
}
