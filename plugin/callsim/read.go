package callsim

import (
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The largest page: the documentation bounds the reply's limit below 2000.
const maxPage = 1999

func (s *Sim) routeReads() {
	s.routeOther()
	s.api("GET /calls", "listCalls", s.listCalls)
	s.call("GET /calls/{id}", "getCall", func(c *call, _ life) (int, []byte) { return http.StatusOK, s.appendCall(nil, c) })
	s.call("GET /calls/{id}/transcript", "getTranscript", func(c *call, l life) (int, []byte) {
		if !l.transcribed && l.missingIs404 {
			return http.StatusNotFound, nil
		}
		return http.StatusOK, s.transcript(c, l)
	})
	s.call("GET /calls/{id}/recording", "getRecordingUrl", func(c *call, l life) (int, []byte) {
		if !l.connected {
			return http.StatusNotFound, nil
		}
		return http.StatusOK, []byte(`{"url":"https://recordings.example.com/` + c.id + `.mp3?signature=sim"}`)
	})
	s.call("GET /calls/{id}/logs", "getCallLogs", func(_ *call, l life) (int, []byte) {
		return http.StatusOK, []byte(`[{"event":"created"},{"event":` + quote(l.status) + `}]`)
	})
	end := func(c *call, l life) (int, []byte) {
		c.canceled = c.canceled || !l.final
		return http.StatusOK, []byte(`{"status":` + quote(s.life(c).status) + `}`)
	}
	s.call("POST /calls/{id}/stop", "stopCall", end)
	s.call("POST /calls/{id}/cancel", "cancelCall", end)
	s.call("DELETE /calls/{id}", "deleteCall", func(c *call, _ life) (int, []byte) {
		c.deleted = true
		return http.StatusOK, []byte(`{}`)
	})
	s.api("GET /usage", "getUsage", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		n := len(s.calls)
		s.mu.Unlock()
		s.reply(w, "getUsage", []byte(`[{"organization_id":"`+organizationID+`","period":"all","duration":0,"callCount":`+strconv.Itoa(n)+`}]`))
	})
}

// call registers an operation on one call, answered under the lock.
func (s *Sim) call(pattern, operation string, answer func(*call, life) (int, []byte)) {
	s.api(pattern, operation, func(w http.ResponseWriter, req *http.Request) {
		s.mu.Lock()
		c := s.byID[req.PathValue("id")]
		status, body := http.StatusNotFound, []byte(nil)
		if c != nil && !c.deleted {
			status, body = answer(c, s.life(c))
		}
		s.mu.Unlock()
		if status != http.StatusOK {
			s.fail(w, operation, status, "not found")
			return
		}
		s.reply(w, operation, body)
	})
}

func (s *Sim) listCalls(w http.ResponseWriter, req *http.Request) {
	const operation = "listCalls"
	q := req.URL.Query()
	limit, skip := maxPage, 0
	for name, into := range map[string]*int{"limit": &limit, "skip": &skip} {
		if v := q.Get(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil || n < 0 {
				s.fail(w, operation, http.StatusUnprocessableEntity, name+" must be a whole number")
				return
			}
			*into = n
		}
	}
	limit = min(max(limit, 1), maxPage)
	bounds := map[string]time.Time{}
	for _, name := range []string{"from", "to"} {
		if v := q.Get(name); v != "" {
			t, err := time.Parse(time.RFC3339, v)
			if err != nil {
				s.fail(w, operation, http.StatusUnprocessableEntity, name+" must be a date and time")
				return
			}
			bounds[name] = t
		}
	}
	statuses := words(q.Get("statuses"))

	s.mu.Lock()
	found := s.listed(q.Get("type"), statuses, q.Get("search"), bounds["from"], bounds["to"])
	if q.Get("sort") != "asc" {
		slices.Reverse(found)
	}
	page := found[min(skip, len(found)):]
	page = page[:min(limit, len(page))]
	body := append(make([]byte, 0, 2048*(len(page)+1)), `{"calls":[`...)
	for i, c := range page {
		if i > 0 {
			body = append(body, ',')
		}
		body = s.appendCall(body, c)
	}
	body = append(body, `],"count":`+strconv.Itoa(len(found))+`,"limit":`+strconv.Itoa(limit)+`,"offset":`+strconv.Itoa(skip)+`}`...)
	s.mu.Unlock()
	s.reply(w, operation, body)
}

// listed filters the calls, oldest first. The caller holds the lock.
func (s *Sim) listed(kind string, statuses []string, search string, from, to time.Time) []*call {
	if kind != "" && kind != "Outbound" {
		return nil
	}
	now := time.Now()
	start := sort.Search(len(s.calls), func(i int) bool { return !s.calls[i].created.Before(from) })
	var found []*call
	for _, c := range s.calls[start:] {
		switch {
		case !to.IsZero() && c.created.After(to):
			return found
		case c.deleted, now.Before(c.listedAt),
			search != "" && !strings.Contains(c.to, strings.TrimSpace(search)),
			len(statuses) > 0 && !slices.Contains(statuses, s.life(c).status):
		default:
			found = append(found, c)
		}
	}
	return found
}

func words(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}
