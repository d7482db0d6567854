package callsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"
)

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
