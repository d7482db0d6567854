package callsim

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/url"
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
		s.rig.Lock()
		n := len(s.calls)
		s.rig.Unlock()
		s.reply(w, "getUsage", []byte(`[{"organization_id":"`+organizationID+`","period":"all","duration":0,"callCount":`+strconv.Itoa(n)+`}]`))
	})
}

// call registers an operation on one call, answered under the lock.
func (s *Sim) call(pattern, operation string, answer func(*call, life) (int, []byte)) {
	s.api(pattern, operation, func(w http.ResponseWriter, req *http.Request) {
		s.rig.Lock()
		c := s.byID[req.PathValue("id")]
		status, body := http.StatusNotFound, []byte(nil)
		if c != nil && !c.deleted {
			status, body = answer(c, s.life(c))
		}
		s.rig.Unlock()
		if status != http.StatusOK {
			s.fail(w, operation, status, "not found")
			return
		}
		s.reply(w, operation, body)
	})
}

func (s *Sim) listCalls(w http.ResponseWriter, req *http.Request) {
	const operation = "listCalls"
	q, problem := parseListing(req.URL.RawQuery)
	if problem != "" {
		s.fail(w, operation, http.StatusUnprocessableEntity, problem)
		return
	}
	s.rig.Lock()
	found := s.listed(q)
	if q.newestFirst {
		slices.Reverse(found)
	}
	page := found[min(q.skip, len(found)):]
	page = page[:min(q.limit, len(page))]
	body := append(make([]byte, 0, 2048*(len(page)+1)), `{"calls":[`...)
	for i, c := range page {
		if i > 0 {
			body = append(body, ',')
		}
		body = s.appendCall(body, c)
	}
	body = append(body, `],"count":`+strconv.Itoa(len(found))+`,"limit":`+strconv.Itoa(q.limit)+`,"offset":`+strconv.Itoa(q.skip)+`}`...)
	s.rig.Unlock()
	s.reply(w, operation, body)
}

// listing is what a list of calls is asked for.
type listing struct {
	limit, skip                     int
	kind, search                    string
	from, to                        time.Time
	newestFirst                     bool
	statuses, useCases, campaigns   []string
	tags, models, ratings, contacts []string
}

// parseListing refuses what the description does not know: a filter that is
// misspelt and passed over would list calls that nobody asked for.
func parseListing(query string) (q listing, problem string) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return q, "the query cannot be read"
	}
	q = listing{limit: maxPage, newestFirst: true}
	for name, given := range values {
		v := given[0]
		if len(given) > 1 {
			return q, name + " is given more than once"
		}
		problem := ""
		switch name {
		case "limit":
			q.limit, problem = whole(v, 1, maxPage)
		case "skip":
			q.skip, problem = whole(v, 0, math.MaxInt32)
		case "type":
			q.kind, problem = v, oneOf(v, inbound, outbound)
		case "sort":
			q.newestFirst, problem = v == "desc", oneOf(v, "asc", "desc")
		case "from":
			q.from, problem = moment(v)
		case "to":
			q.to, problem = moment(v)
		case "search":
			q.search = strings.TrimSpace(v)
		case "statuses":
			q.statuses, problem = words(v)
		case "use_cases":
			q.useCases, problem = words(v)
		case "campaigns":
			q.campaigns, problem = words(v)
		case "tags":
			q.tags, problem = words(v)
		case "models":
			q.models, problem = words(v)
		case "ratings":
			q.ratings, problem = words(v)
		case "transfer_contact_email":
			q.contacts = []string{v}
		default:
			problem = "is no filter"
		}
		if problem != "" {
			return q, name + " " + problem
		}
	}
	return q, ""
}

func whole(v string, least, most int) (n int, problem string) {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most || v[0] == '+' {
		return 0, fmt.Sprintf("must be a whole number from %d to %d", least, most)
	}
	return n, ""
}

func oneOf(v string, known ...string) (problem string) {
	if slices.Contains(known, v) {
		return ""
	}
	return "must be one of " + strings.Join(known, ", ")
}

func moment(v string) (t time.Time, problem string) {
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return t, "must be a date and time"
	}
	return t, ""
}

// words reads a list with commas. Which words there are is not checked: statuses
// are open, ids opaque.
func words(v string) (list []string, problem string) {
	list = strings.Split(v, ",")
	for i, w := range list {
		if list[i] = strings.TrimSpace(w); list[i] == "" {
			return nil, "must be a list of words with a comma between them"
		}
	}
	return list, ""
}

// listed filters the calls, oldest first by their stamps. The caller holds the lock.
func (s *Sim) listed(q listing) []*call {
	today := s.rig.Today()
	calls := s.calls
	if s.rig.ClockSet() { // so their order is not that of their creation
		calls = slices.Clone(calls)
		slices.SortStableFunc(calls, func(a, b *call) int { return a.created.Compare(b.created) })
	}
	start := sort.Search(len(calls), func(i int) bool { return !calls[i].created.Before(q.from) })
	var found []*call
	for _, c := range calls[start:] {
		if !q.to.IsZero() && c.created.After(q.to) {
			break
		}
		if !c.deleted && !today.Before(c.listedAt) && s.matches(c, q) {
			found = append(found, c)
		}
	}
	return found
}

// matches applies all filters but the dates. The caller holds the lock.
func (s *Sim) matches(c *call, q listing) bool {
	if q.kind != "" && c.kind() != q.kind {
		return false
	}
	among := func(list []string, value string) bool { return list == nil || slices.Contains(list, value) }
	if !among(q.useCases, cmp.Or(c.asked.useCase, firstUseCase)) || !among(q.campaigns, c.asked.campaign) || !among(q.models, useCaseModel) {
		return false
	}
	if q.tags != nil || q.ratings != nil || q.contacts != nil {
		return false // no list shows any of them on a call
	}
	if q.statuses == nil && q.search == "" {
		return true
	}
	l := s.life(c)
	return among(q.statuses, l.status) && (strings.Contains(c.asked.phone, q.search) || l.connected && strings.Contains(extracted, q.search))
}
