package platform

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// query reads the query of a request. It refuses what the description does not know: a
// filter that is misspelt and passed over would list runs that nobody asked for.
type query struct {
	values  url.Values
	read    []string
	cuts    bool   // too large a page rather than refuse it
	name    string // of the first that is wrong
	problem string
}

func (s *Sim) query(req *http.Request, body []byte) *query {
	values, err := url.ParseQuery(req.URL.RawQuery)
	q := &query{values: values, cuts: s.opts.CutPages}
	switch {
	case err != nil:
		q.wrong("", "cannot be read")
	case req.Method == http.MethodGet && len(body) > 0 && !s.opts.Lenient:
		q.wrong("", "stands beside a body, which a GET has none of")
	}
	return q
}

func (q *query) wrong(name, problem string) {
	if q.problem == "" {
		q.name, q.problem = name, problem
	}
}

// text reads a parameter; "" is none.
func (q *query) text(name string) string {
	q.read = append(q.read, name)
	if len(q.values[name]) > 1 {
		q.wrong(name, "must not be an array")
	}
	return q.values.Get(name)
}

func (q *query) whole(name string, least, most, byDefault int) int {
	v := q.text(name)
	if !q.values.Has(name) {
		return byDefault
	}
	n, err := strconv.Atoi(v)
	switch {
	case err != nil || v[0] == '+':
		q.wrong(name, "must be integer")
	case n < least:
		q.wrong(name, fmt.Sprintf("must be >= %d", least))
	case n > most:
		q.wrong(name, fmt.Sprintf("must be <= %d", most))
	}
	return n
}

func (q *query) oneOf(name string, words ...string) string {
	v := q.text(name)
	if q.values.Has(name) && !slices.Contains(words, v) {
		q.wrong(name, "must be equal to one of the allowed values")
	}
	return v
}

// newestFirst reads the order.
func (q *query) newestFirst(byDefault string) bool {
	v := q.oneOf("sort", "asc", "desc")
	return v == "desc" || v == "" && byDefault == "desc"
}

var uuid = regexp.MustCompile(`^(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

// uuid reads an id; "" is none.
func (q *query) uuid(name string) string {
	v := q.text(name)
	if q.values.Has(name) && !uuid.MatchString(v) {
		q.wrong(name, `must match format "uuid"`)
	}
	return v
}

var utcTime = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?Z$`)

// moment reads a time. It must end in Z; empty is absent.
func (q *query) moment(name string) time.Time {
	v := q.text(name)
	if v == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil || !utcTime.MatchString(v) {
		q.wrong(name, "must match pattern")
	}
	return t
}

// page reads which page is wanted.
func (q *query) page(most, byDefault int) page {
	allowed := most
	if q.cuts {
		allowed = 1<<31 - 1
	}
	return page{n: q.whole("page", 1, 1<<31-1, 1), size: min(most, q.whole("page_size", 1, allowed, byDefault))}
}

// refused answers a query that is wrong, and says whether it was. In strict mode that is
// also one with a parameter that was not read.
func (s *Sim) refused(w http.ResponseWriter, operation string, q *query) bool {
	if !s.opts.Lenient {
		for name := range q.values {
			if !slices.Contains(q.read, name) {
				q.wrong(name, "must NOT have additional properties")
			}
		}
	}
	if q.problem == "" {
		return false
	}
	at := "querystring"
	if q.name != "" {
		at += "/" + q.name
	}
	status := http.StatusBadRequest
	if operation == opRunNodes || operation == opRunOutput { // as described
		status = http.StatusUnprocessableEntity
	}
	s.invalid(w, operation, status, at, q.problem)
	return true
}

// invalid answers what breaks the description.
func (s *Sim) invalid(w http.ResponseWriter, operation string, status int, at, problem string) {
	_, path, _ := strings.Cut(at, "/")
	s.failJSON(w, operation, status, object{
		"error": http.StatusText(status), "message": at + " " + problem, "statusCode": status,
		"details": []object{{"instancePath": "/" + path, "message": problem}},
	})
}

// members reads a JSON object. A problem is answered, and ok is false then.
func (s *Sim) members(w http.ResponseWriter, req *http.Request, operation string, body []byte, known ...string) (members object, ok bool) {
	media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if (err != nil || media != "application/json") && !s.opts.Lenient {
		s.invalid(w, operation, http.StatusUnsupportedMediaType, "headers/content-type", "must be application/json")
		return nil, false
	}
	if json.Unmarshal(body, &members) != nil || members == nil {
		s.invalid(w, operation, http.StatusBadRequest, "body", "must be object")
		return nil, false
	}
	if known == nil || s.opts.Lenient {
		return members, true
	}
	for name := range members {
		if !slices.Contains(known, name) {
			s.invalid(w, operation, http.StatusBadRequest, "body/"+name, "must NOT have additional properties")
			return nil, false
		}
	}
	return members, true
}

// page is which part of a list is wanted.
type page struct{ n, size int }

// bounds are the part of a list of so many.
func (p page) bounds(total int) (from, to int) {
	from = min(total, (p.n-1)*p.size)
	return from, min(total, from+p.size)
}

func (p page) pages(total int) int { return (total + p.size - 1) / p.size }

// snake is the pagination of all lists but one.
func (p page) snake(total int) object {
	return object{
		"page": p.n, "page_size": p.size, "total_pages": p.pages(total), "total_records": total,
		"has_next_page": p.n < p.pages(total), "has_previous_page": p.n > 1,
	}
}

// camel is the pagination of lists of runs.
func (p page) camel(total int) object {
	return object{
		"page": p.n, "pageSize": p.size, "totalPages": p.pages(total), "totalRecords": total,
		"hasNextPage": p.n < p.pages(total), "hasPreviousPage": p.n > 1,
	}
}
