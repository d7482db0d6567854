package platform

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
)

// legacyPath is where the platform's own v1 is. It has nothing to do with the API that is
// called v1 elsewhere.
const legacyPath = "/api/v1/runs"

// legacyListRuns is the one list that reaches into what nodes produced. How its filter is
// written is not documented: here it is JSON.
func (s *Sim) legacyListRuns(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	limit, offset := q.whole("limit", 1, 5000, 1000), q.whole("offset", 0, 1<<31-1, 0)
	want := listing{
		newestFirst: q.newestFirst("desc"), status: q.text("status"), from: q.moment("start"), to: q.moment("end"),
		completedFrom: q.moment("completed_start"), completedTo: q.moment("completed_end"),
	}
	name := q.text("use_case_id")
	var filters map[string][]string
	if v := q.text("node_output_filters"); v != "" && json.Unmarshal([]byte(v), &filters) != nil {
		q.wrong("node_output_filters", "must be object")
	}
	if req.Header.Get("x-organization-id") != fixedID(kindOrg, 1) {
		q.wrong("", "needs the header x-organization-id")
	}
	if s.refused(w, opLegacy, q) {
		return
	}
	s.rig.Lock()
	flow := s.flowOf(name)
	rows := []object{}
	if flow != nil {
		now := s.settle()
		for _, r := range s.listed(flow, want, now) {
			row := s.row(r, s.lifeOf(r, now))
			if passes(row["data"].(object), filters) {
				rows = append(rows, row)
			}
		}
	}
	s.rig.Unlock()
	if flow == nil {
		s.fail(w, opLegacy, http.StatusNotFound, "Use case not found")
		return
	}
	if want.newestFirst {
		slices.Reverse(rows)
	}
	from := min(offset, len(rows))
	s.reply(w, opLegacy, rows[from:min(len(rows), from+limit)])
}

// passes says whether every column that is filtered has one of its values.
func passes(columns object, filters map[string][]string) bool {
	for name, values := range filters {
		if !slices.Contains(values, fmt.Sprint(columns[name])) {
			return false
		}
	}
	return true
}
