package happyrobot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// CallType is a call's direction.
type CallType string

// Directions of a call.
const (
	Inbound  CallType = "Inbound"
	Outbound CallType = "Outbound"
)

// CallMetadata is telephony data and the caller's own.
type CallMetadata struct {
	CallSID string          // the telephony provider's id; empty until there is one
	From    string          // a number, in the form that the API gives it
	To      string          // likewise
	Custom  json.RawMessage // OutboundCall.Metadata, as far as is known; nil when it is no object
}

// CustomText is a member of Custom by its exact name, "" when it is not there or no text.
func (m CallMetadata) CustomText(member string) (text string) {
	gjson.ParseBytes(m.Custom).ForEach(func(name, value gjson.Result) bool {
		if name.Str == member {
			text = value.Str
		}
		return true
	})
	return text
}

// read takes what can be read of a value.
func (m *CallMetadata) read(value gjson.Result) {
	*m = CallMetadata{}
	if !value.IsObject() {
		return
	}
	value.ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "call_sid":
			m.CallSID = strings.Clone(value.Str)
		case "from":
			m.From = strings.Clone(value.Str)
		case "to":
			m.To = strings.Clone(value.Str)
		case "custom":
			if value.IsObject() {
				m.Custom = json.RawMessage(value.Raw)
			}
		}
		return true
	})
}

// Call is a call as the API reports it. Only what this module acts on is typed; Raw has
// everything. A member that is missing or of another type than documented is left zero.
// Source: page calls/list-calls.
type Call struct {
	ID       string
	Type     CallType
	Status   Status
	Metadata CallMetadata
	Created  time.Time
	Raw      json.RawMessage // secrets removed
}

// UnmarshalJSON reads what can be read. It fails only for what is no object.
func (c *Call) UnmarshalJSON(b []byte) error {
	if !isObject(b) {
		return errNoObject
	}
	*c = Call{Raw: Redact(bytes.Clone(b))}
	gjson.ParseBytes(b).ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "id":
			c.ID = strings.Clone(value.Str)
		case "type":
			c.Type = CallType(strings.Clone(value.Str))
		case "status":
			c.Status = Status(strings.Clone(value.Str))
		case memberMetadata:
			c.Metadata.read(value)
		case "created":
			c.Created, _ = time.Parse(time.RFC3339, value.Str)
		}
		return true
	})
	return nil
}

var errNoCall = errors.New("the answer has neither the id nor the status of a call")

// GetCall reads one call, GET /calls/{id}, and repeats that until it is answered. For an
// id that the API does not know IsNotFound holds. An answer that names another call is
// unreadable; one without an id is taken for the call. No page describes the reply; it is
// expected to be an item of a list.
func (c *Client) GetCall(ctx context.Context, id string) (call Call, err error) {
	path, err := callPath(id, "")
	if err != nil {
		return Call{}, err
	}
	r := request{op: "getCall", method: http.MethodGet, path: path, limit: maxReplyBytes}
	err = c.repeat(ctx, r, func(body []byte) error {
		if err := json.Unmarshal(body, &call); err != nil {
			return err
		}
		if namesOther(body, namesOfCall, id) {
			return errOtherCall
		}
		if call.ID == "" && call.Status == "" {
			return errNoCall
		}
		return nil
	})
	if err != nil {
		return Call{}, err
	}
	call.ID = id
	return call, nil
}

// errOtherCall is an answer about another call than the one that was asked for,
// which must never be attached to it.
var errOtherCall = errors.New("the answer is about another call than the one asked for")

// Members in which an answer may name its call, the documented one first. The id of a
// part is its own, not the call's.
var (
	namesOfCall = []string{"id", "_id", "call_id", "callId", "call.id", "data.id", "data._id", "data.call_id"}
	namesOfPart = []string{"call_id", "callId", "call.id", "data.call_id"}
)

// readOf is read for what belongs to one call: an answer that names another call is
// unreadable. One that names none is taken for the call.
func (c *Client) readOf(ctx context.Context, r request, id string, into any) error {
	r.method = http.MethodGet
	return c.repeat(ctx, r, func(body []byte) error {
		if namesOther(body, namesOfPart, id) {
			return errOtherCall
		}
		return json.Unmarshal(body, into)
	})
}

// namesOther reports whether an object names another call than that with the id. Null
// and empty text name none. The first of the members decides where it names a call;
// where it does not, none of the others may name another one.
func namesOther(body []byte, members []string, id string) bool {
	if !validJSON(body) || !isObject(body) {
		return false // which decoding complains about
	}
	answer := gjson.ParseBytes(body)
	for i, path := range members {
		named := false
		for _, value := range membersAt(answer, path) {
			if value.Type == gjson.Null || value.Raw == `""` {
				continue
			}
			if value.Type != gjson.String || value.Str != id {
				return true
			}
			named = true
		}
		if named && i == 0 {
			return false
		}
	}
	return false
}

// membersAt are the values of the members at a path of names with dots between them,
// all of those that are there more than once.
func membersAt(object gjson.Result, path string) (values []gjson.Result) {
	first, rest, deeper := strings.Cut(path, ".")
	object.ForEach(func(name, value gjson.Result) bool {
		switch {
		case name.Str != first:
		case !deeper:
			values = append(values, value)
		case value.IsObject():
			values = append(values, membersAt(value, rest)...)
		}
		return true
	})
	return values
}

// ListCallsQuery narrows a list. Zero fields do not filter. How the bounds From and To
// are compared is not documented: ask for more and compare yourself. Source: page
// calls/list-calls.
type ListCallsQuery struct {
	Type      CallType
	Statuses  []Status
	UseCases  []string
	Campaigns []string
	From, To  time.Time
	Sort      string // asc or desc, by creation as far as is known
	Limit     int    // calls a page; below 2000
	Skip      int    // calls to leave out, counted in the order of Sort

	Once bool // do not repeat a page that fails
}

func (q ListCallsQuery) values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("type", string(q.Type))
	statuses := make([]string, len(q.Statuses))
	for i, s := range q.Statuses {
		statuses[i] = string(s.Canonical()) // the only spelling that the API documents
	}
	set("statuses", strings.Join(statuses, ","))
	set("use_cases", strings.Join(q.UseCases, ","))
	set("campaigns", strings.Join(q.Campaigns, ","))
	if !q.From.IsZero() {
		v.Set("from", q.From.UTC().Format(time.RFC3339Nano))
	}
	if !q.To.IsZero() {
		v.Set("to", q.To.UTC().Format(time.RFC3339Nano))
	}
	set("sort", q.Sort)
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Skip > 0 {
		v.Set("skip", strconv.Itoa(q.Skip))
	}
	return v
}

// ListCalls reads all calls of a query, GET /calls, page by page as they are taken, from
// Skip on. It ends at the first error, which comes with a zero Call. Each page is repeated
// until it is answered, unless Once is set. A page whose reply is too large is asked for
// in smaller ones. An item that cannot be read, since it is no object or too large alone,
// is a Call without members: it is there, and could be any.
//
// Paging is by offset: in ascending order new calls do not shift pages. A call that moves
// between pages while they are read can be given twice, or not at all.
func (c *Client) ListCalls(ctx context.Context, q ListCallsQuery) iter.Seq2[Call, error] {
	return func(yield func(Call, error) bool) {
		var before json.RawMessage // the first call of the page before
		size := NewPageSize(q.Limit)
		for {
			page, err := c.listPage(ctx, q)
			if ClassOf(err) == ClassTooLarge {
				// Skip counts calls, so the next page begins where this one would have.
				if q.Limit != 1 {
					q.Limit = size.Shrink()
					continue
				}
				q.Skip++
				if !yield(Call{}, nil) {
					return
				}
				continue
			}
			if err != nil {
				yield(Call{}, err)
				return
			}
			if len(page) > 0 && isObject(page[0]) {
				// An API that ignores skip would be listed for ever.
				if first := page[0]; bytes.Equal(first, before) {
					yield(Call{}, ErrSamePage)
					return
				}
				before = page[0]
			}
			for _, raw := range page {
				var call Call
				if json.Unmarshal(raw, &call) != nil {
					call = Call{}
				}
				if !yield(call, nil) {
					return
				}
			}
			// A page may be shorter than asked for, if the API caps it: only an
			// empty one is the end.
			if len(page) == 0 {
				return
			}
			q.Skip += len(page)
			q.Limit = size.Fits()
		}
	}
}

// ErrSamePage is the error of a list whose next page is the page before: the API ignores
// Skip, so that it would be listed for ever.
var ErrSamePage error = &Error{Op: opListCalls, Status: http.StatusOK, Err: fmt.Errorf("%w: the API gives the same page twice; it ignores skip", ErrOtherForm)}

// ListCallsPage reads one page of a query. Every item of it has its place, also one that
// is no object: that is a Call with nothing but Raw. A page may be shorter than Limit,
// where the API caps it: only an empty one is the end.
func (c *Client) ListCallsPage(ctx context.Context, q ListCallsQuery) ([]Call, error) {
	page, err := c.listPage(ctx, q)
	if err != nil {
		return nil, err
	}
	calls := make([]Call, len(page))
	for i, raw := range page {
		if json.Unmarshal(raw, &calls[i]) != nil {
			calls[i] = Call{Raw: Redact(raw)}
		}
	}
	return calls, nil
}

func (c *Client) listPage(ctx context.Context, q ListCallsQuery) ([]json.RawMessage, error) {
	var page struct {
		Calls *[]json.RawMessage `json:"calls"`
	}
	err := c.read(ctx, request{op: opListCalls, path: "/calls", query: q.values(), limit: maxListBytes, single: q.Once}, &page)
	if err != nil {
		return nil, err
	}
	if page.Calls == nil {
		return nil, &Error{Op: opListCalls, Status: http.StatusOK, Err: fmt.Errorf("decoding the reply: %w: it has no list of calls", ErrOtherForm)}
	}
	return *page.Calls, nil
}
