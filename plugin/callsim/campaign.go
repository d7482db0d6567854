package callsim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/Jeffail/gabs/v2"
)

// routeAboutCalls serves what concerns several calls at once.
func (s *Sim) routeAboutCalls() {
	s.api("POST /dial/scheduled", "createScheduledCampaign", s.scheduleCampaign)
	s.api("GET /calls/current-page", "getCurrentPage", s.currentPage)
	// No call of this API ever gets a tag.
	s.api("GET /calls/tags", "listCallTags", func(w http.ResponseWriter, _ *http.Request) { s.reply(w, "listCallTags", []byte(`[]`)) })
	s.withBody("POST /calls/export", "exportCalls", func(*http.Request, object) (object, string, int) {
		return fields(map[string]any{"status": "accepted"}), "", http.StatusOK
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
	rows, ok := body.S("calls").Data().([]any)
	if !ok || len(rows) == 0 {
		s.fail(w, operation, http.StatusUnprocessableEntity, "calls must be a list of rows (csv_file is not simulated)")
		return
	}
	var batch []dialRequest
	for i, row := range body.S("calls").Children() {
		r, problem := scheduledCall(body, row, i)
		if problem != "" {
			s.fail(w, operation, http.StatusUnprocessableEntity, fmt.Sprintf("row %d: %s", i, problem))
			return
		}
		batch = append(batch, r)
	}
	s.rig.Lock()
	reply := []byte(`{"createdCalls":[`)
	for i, c := range s.create(batch, 0, "") {
		if i > 0 {
			reply = append(reply, ',')
		}
		reply = s.appendReply(reply, c, true)
	}
	s.rig.Unlock()
	s.reply(w, operation, append(reply, `]}`...))
}

// scheduledCall is the dial that the nth row of a campaign asks for.
func scheduledCall(campaign, row object, n int) (asked dialRequest, problem string) {
	if _, ok := row.Data().(map[string]any); !ok {
		return dialRequest{}, "must be an object"
	}
	call, params := gabs.New(), fields(map[string]any{})
	merge(call, campaign, "number_id", "use_case_id", "agent_id", "model_id", "prompt_id", "language", "max_duration_mins")
	for name, v := range row.ChildrenMap() {
		switch name {
		case "phone_number", "max_duration_mins":
			set(call, name, v.Data())
		case "scheduled_date", "scheduled_time":
		case "timezone":
			if v.Data() != "UTC" {
				return dialRequest{}, "only the timezone UTC is simulated"
			}
		default:
			set(params, name, v.Data())
		}
	}
	set(call, "params", params.Data())
	if campaign.Exists("campaign_name") {
		set(call, "campaign_id", campaign.S("campaign_name").Data()) // the description has no other name for it
	}
	if row.Exists("scheduled_date") {
		clock := any("00:00:00")
		if row.Exists("scheduled_time") {
			clock = row.S("scheduled_time").Data()
		}
		set(call, "scheduled_for", fmt.Sprintf("%vT%vZ", row.S("scheduled_date").Data(), clock))
	} else if campaign.Exists("staggered_interval_minutes") {
		minutes, ok := campaign.S("staggered_interval_minutes").Data().(float64)
		if !ok || minutes < 0 {
			return dialRequest{}, "staggered_interval_minutes must be a number of minutes"
		}
		set(call, "scheduled_for", time.Now().Add(time.Duration(float64(n)*minutes*float64(time.Minute))).UTC().Format(time.RFC3339Nano))
	}
	return parseDial(call.Bytes())
}

// currentPage answers on which page of the list, newest first, a call is.
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
	s.rig.Lock()
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
	s.rig.Unlock()
	if !found {
		s.fail(w, operation, http.StatusNotFound, "not found")
		return
	}
	s.reply(w, operation, []byte(`{"currentPage":`+strconv.Itoa(1+newer/limit)+`}`))
}
