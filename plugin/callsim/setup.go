package callsim

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/Jeffail/gabs/v2"
)

// collection is one kind of object that an organization sets up.
type collection struct {
	prefix string // of the ids of new objects, 16 characters
	items  []object
}

func (c *collection) find(id string) object {
	for _, item := range c.items {
		if item.S("id").Data() == id {
			return item
		}
	}
	return nil
}

func (c *collection) add(item object) object {
	set(item, "id", fmt.Sprintf("%s%08x", c.prefix, len(c.items)+1))
	set(item, "organization_id", organizationID)
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
	first, _ := gabs.ParseJSON([]byte(`{"id":"` + firstUseCase + `",` + useCase)) // ours, and valid
	_ = first.Delete("model")                                                     // only calls show it
	useCases := &collection{"64f0c0de000000b1", []object{first}}
	s.list("GET /use-cases", "listUseCases", useCases)
	s.add("POST /use-cases", "createUseCase", useCases, gabs.New, useCaseMembers...)
	s.change("GET /use-cases/{id}", "getUseCase", useCases)
	s.change("PATCH /use-cases/{id}", "updateUseCase", useCases, useCaseMembers...)

	agents := &collection{"64f0c0de000000d1", []object{fields(map[string]any{
		"id": firstAgent, "organization_id": organizationID, "name": "Kim", "languages": []any{"english"}, "voice_id": "voice-1", "created_at": created,
	})}}
	s.list("GET /agents", "listAgents", agents)
	s.add("POST /agents", "createAgent", agents, func() object {
		return fields(map[string]any{"name": "New agent", "languages": []any{"english"}, "voice_id": "voice-1", "created_at": created})
	}, "name", "languages", "voice_id")
	s.change("PATCH /agents/{id}", "updateAgent", agents, "name", "languages", "voice_id")

	numbers := &collection{"64f0c0de000000c1", []object{fields(map[string]any{
		"id": firstNumber, "organization_id": organizationID, "number": phoneOf(firstNumber), "sid": "PN0000000000000000000000000000c1", "title": "Main",
	})}}
	s.list("GET /numbers", "listNumbers", numbers)
	s.add("POST /numbers", "buyNumber", numbers, func() object {
		return fields(map[string]any{"number": "+12025550151", "sid": "PN0000000000000000000000000000c2"})
	})
	s.change("GET /numbers/{id}", "getNumber", numbers)
	s.change("PATCH /numbers/{id}", "updateNumberRoutes", numbers, "use_case_id", "agent_routes", "model_routes")
	s.change("PATCH /numbers/{id}/title", "updateNumberTitle", numbers, "title")

	users := &collection{"64f0c0de000000e1", []object{fields(map[string]any{"id": "64f0c0de00000000000000e1", "email": "reviewer@example.com"})}}
	s.change("PATCH /user/{id}", "updateUser", users, "first_name", "last_name", "image_url")
	s.routeMembers()
}

func (s *Sim) list(pattern, operation string, c *collection) {
	s.withBody(pattern, operation, func(*http.Request, object) (object, string, int) { return listOf(c.items), "", http.StatusOK })
}

func (s *Sim) add(pattern, operation string, c *collection, blank func() object, members ...string) {
	s.withBody(pattern, operation, func(_ *http.Request, body object) (object, string, int) {
		item := blank()
		merge(item, body, members...)
		return c.add(item), "", http.StatusOK
	})
}

// change registers an operation on one object. Without members it only reads.
func (s *Sim) change(pattern, operation string, c *collection, members ...string) {
	s.withBody(pattern, operation, func(req *http.Request, body object) (object, string, int) {
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
	members := []object{fields(map[string]any{"email": "reviewer@example.com", "role": "Owner"})}
	answer := func() (object, string, int) {
		return fields(map[string]any{
			"id": organizationID, "name": "Example Deliveries", "api_key": HookSecret, "members": listOf(members).Data(),
			"twilio_credentials": map[string]any{"account_sid": "AC00", "auth_token": HookSecret},
		}), "", http.StatusOK
	}
	with := func(pattern, operation string, change func(at int, body object)) {
		s.withBody(pattern, operation, func(_ *http.Request, body object) (object, string, int) {
			at := slices.IndexFunc(members, func(m object) bool { return m.S("email").Data() == body.S("email").Data() })
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
