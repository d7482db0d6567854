package callsim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"
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

// routeAboutCalls serves what concerns several calls at once.
func (s *Sim) routeAboutCalls() {
	s.api("POST /dial/scheduled", "createScheduledCampaign", s.scheduleCampaign)
	s.api("GET /calls/current-page", "getCurrentPage", s.currentPage)
	// No call of this API ever gets a tag.
	s.api("GET /calls/tags", "listCallTags", func(w http.ResponseWriter, _ *http.Request) { s.reply(w, "listCallTags", []byte(`[]`)) })
	s.withBody("POST /calls/export", "exportCalls", func(*http.Request, object) (any, string, int) {
		return object{"status": "accepted"}, "", http.StatusOK
	})
}

// scheduleCampaign creates a call for each row. The members of a row that are no
// settings become the call's params.
func (s *Sim) scheduleCampaign(w http.ResponseWriter, req *http.Request) {
	const operation = "createScheduledCampaign"
	body, problem := readObject(req)
	if problem != "" {
		s.fail(w, operation, http.StatusUnprocessableEntity, problem)
		return
	}
	rows, _ := body["calls"].([]any)
	if len(rows) == 0 {
		s.fail(w, operation, http.StatusUnprocessableEntity, "calls must be a list of rows (csv_file is not simulated)")
		return
	}
	var batch []dialRequest
	for i, row := range rows {
		r, problem := scheduledCall(body, row, i)
		if problem != "" {
			s.fail(w, operation, http.StatusUnprocessableEntity, fmt.Sprintf("row %d: %s", i, problem))
			return
		}
		batch = append(batch, r)
	}
	s.mu.Lock()
	reply := []byte(`{"createdCalls":[`)
	for i, c := range s.create(batch, 0, false) {
		if i > 0 {
			reply = append(reply, ',')
		}
		reply = s.appendReply(reply, c, true)
	}
	s.mu.Unlock()
	s.reply(w, operation, append(reply, `]}`...))
}

func scheduledCall(campaign object, row any, n int) (dialRequest, string) {
	r, ok := row.(object)
	if !ok {
		return dialRequest{}, "must be an object"
	}
	call, params := object{}, object{}
	for _, shared := range []string{"number_id", "use_case_id", "agent_id", "model_id", "prompt_id", "language", "max_duration_mins"} {
		if v, given := campaign[shared]; given {
			call[shared] = v
		}
	}
	for name, v := range r {
		switch name {
		case "phone_number", "max_duration_mins":
			call[name] = v
		case "scheduled_date", "scheduled_time":
		case "timezone":
			if v != "UTC" {
				return dialRequest{}, "only the timezone UTC is simulated"
			}
		default:
			params[name] = v
		}
	}
	call["params"] = params
	if name, given := campaign["campaign_name"]; given {
		call["campaign_id"] = name // the description has no other name for it
	}
	if date, given := r["scheduled_date"]; given {
		clock, given := r["scheduled_time"]
		if !given {
			clock = "00:00:00"
		}
		call["scheduled_for"] = fmt.Sprintf("%vT%vZ", date, clock)
	} else if gap, given := campaign["staggered_interval_minutes"]; given {
		minutes, ok := gap.(float64)
		if !ok || minutes < 0 {
			return dialRequest{}, "staggered_interval_minutes must be a number of minutes"
		}
		call["scheduled_for"] = time.Now().Add(time.Duration(float64(n) * minutes * float64(time.Minute))).UTC().Format(time.RFC3339Nano)
	}
	raw, _ := json.Marshal(call)
	return parseDial(raw)
}

// currentPage tells on which page of the list, newest first, a call is.
func (s *Sim) currentPage(w http.ResponseWriter, req *http.Request) {
	const operation = "getCurrentPage"
	limit := maxPage
	if v := req.URL.Query().Get("limit"); v != "" {
		var problem string
		if limit, problem = whole(v, 1, maxPage); problem != "" {
			s.fail(w, operation, http.StatusUnprocessableEntity, "limit "+problem)
			return
		}
	}
	s.mu.Lock()
	newer, found := 0, false
	for _, c := range slices.Backward(s.calls) {
		if c.deleted {
			continue
		}
		if found = c.id == req.URL.Query().Get("callId"); found {
			break
		}
		newer++
	}
	s.mu.Unlock()
	if !found {
		s.fail(w, operation, http.StatusNotFound, "not found")
		return
	}
	s.reply(w, operation, []byte(`{"currentPage":`+strconv.Itoa(1+newer/limit)+`}`))
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

// merge copies the members named, where given.
func merge(into, from object, members ...string) {
	for _, name := range members {
		if v, given := from[name]; given {
			into[name] = v
		}
	}
}

// collection is one kind of object that an organization sets up.
type collection struct {
	prefix string // of the ids of new objects, 16 characters
	items  []object
}

func (c *collection) find(id string) object {
	for _, item := range c.items {
		if item["id"] == id {
			return item
		}
	}
	return nil
}

func (c *collection) add(item object) object {
	item["id"] = fmt.Sprintf("%s%08x", c.prefix, len(c.items)+1)
	item["organization_id"] = organizationID
	c.items = append(c.items, item)
	return item
}

// routeSetup serves use cases, agents, numbers and the organization.
func (s *Sim) routeSetup() {
	useCaseMembers := []string{
		"name", "transfer_number", "extract_with_ai", "classification_tags", "language", "detailed_work_hours", "work_start", "work_end",
		"timezone", "generic_after_hours_message", "enable_detailed_work_hours", "keywords", "hooks", "hook", "params", "amd", "amd_behavior",
		"amd_messages", "hidden", "max_duration_mins", "recorded_message_inbound", "recorded_message_outbound", "show_original_caller_id",
		"disable_end_call_after_n_reminders", "sample_labels", "evaluation_models",
	}
	const created = "2025-01-02T03:04:05Z"
	var first object
	_ = json.Unmarshal([]byte(`{"id":"`+firstUseCase+`",`+useCase), &first)
	delete(first, "model") // only calls show it
	useCases := &collection{"64f0c0de000000b1", []object{first}}
	s.list("GET /use-cases", "listUseCases", useCases)
	s.add("POST /use-cases", "createUseCase", useCases, func() object { return object{} }, useCaseMembers...)
	s.change("GET /use-cases/{id}", "getUseCase", useCases)
	s.change("PATCH /use-cases/{id}", "updateUseCase", useCases, useCaseMembers...)

	agents := &collection{"64f0c0de000000d1", []object{{
		"id": firstAgent, "organization_id": organizationID, "name": "Kim", "languages": []any{"english"}, "voice_id": "voice-1", "created_at": created,
	}}}
	s.list("GET /agents", "listAgents", agents)
	s.add("POST /agents", "createAgent", agents, func() object {
		return object{"name": "New agent", "languages": []any{"english"}, "voice_id": "voice-1", "created_at": created}
	}, "name", "languages", "voice_id")
	s.change("PATCH /agents/{id}", "updateAgent", agents, "name", "languages", "voice_id")

	numbers := &collection{"64f0c0de000000c1", []object{{
		"id": firstNumber, "organization_id": organizationID, "number": phoneOf(firstNumber), "sid": "PN0000000000000000000000000000c1", "title": "Main",
	}}}
	s.list("GET /numbers", "listNumbers", numbers)
	s.add("POST /numbers", "buyNumber", numbers, func() object {
		return object{"number": "+12025550151", "sid": "PN0000000000000000000000000000c2"}
	})
	s.change("GET /numbers/{id}", "getNumber", numbers)
	s.change("PATCH /numbers/{id}", "updateNumberRoutes", numbers, "use_case_id", "agent_routes", "model_routes")
	s.change("PATCH /numbers/{id}/title", "updateNumberTitle", numbers, "title")

	users := &collection{"64f0c0de000000e1", []object{{"id": "64f0c0de00000000000000e1", "email": "reviewer@example.com"}}}
	s.change("PATCH /user/{id}", "updateUser", users, "first_name", "last_name", "image_url")
	s.routeMembers()
}

func (s *Sim) list(pattern, operation string, c *collection) {
	s.withBody(pattern, operation, func(*http.Request, object) (any, string, int) { return c.items, "", http.StatusOK })
}

func (s *Sim) add(pattern, operation string, c *collection, blank func() object, members ...string) {
	s.withBody(pattern, operation, func(_ *http.Request, body object) (any, string, int) {
		item := blank()
		merge(item, body, members...)
		return c.add(item), "", http.StatusOK
	})
}

// change registers an operation on one object. Without members it only reads.
func (s *Sim) change(pattern, operation string, c *collection, members ...string) {
	s.withBody(pattern, operation, func(req *http.Request, body object) (any, string, int) {
		item := c.find(req.PathValue("id"))
		if item == nil {
			return nil, "not found", http.StatusNotFound
		}
		merge(item, body, members...)
		return item, "", http.StatusOK
	})
}

// routeMembers serves the members of the organization. As in the API, answers
// hold its credentials.
func (s *Sim) routeMembers() {
	members := []object{{"email": "reviewer@example.com", "role": "Owner"}}
	answer := func() (any, string, int) {
		return object{
			"id": organizationID, "name": "Example Deliveries", "api_key": HookSecret, "members": members,
			"twilio_credentials": object{"account_sid": "AC00", "auth_token": HookSecret},
		}, "", http.StatusOK
	}
	with := func(pattern, operation string, change func(at int, body object)) {
		s.withBody(pattern, operation, func(_ *http.Request, body object) (any, string, int) {
			at := slices.IndexFunc(members, func(m object) bool { return m["email"] == body["email"] })
			if at < 0 {
				return nil, "not found", http.StatusNotFound
			}
			change(at, body)
			return answer()
		})
	}
	with("PATCH /member", "updateMember", func(at int, body object) { merge(members[at], body, "role") })
	with("DELETE /member", "removeMember", func(at int, _ object) { members = slices.Delete(members, at, at+1) })
}
