package platform

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Session is one call or chat of a run. A run has several where its node redials, where a
// call is handed over or called back, or where several agents talk. A member that is
// missing or cannot be read is left zero.
type Session struct {
	ID            string
	OrgID         string
	WorkflowID    string
	VersionID     string
	RunID         string
	UserNumber    string // the number called, or that called
	Status        SessionStatus
	Type          string // outbound or inbound; an open word
	Duration      float64
	Created       time.Time
	Connected     time.Time // when the call was answered; zero when it was not
	SIPCode       string
	SIPReason     string
	FailureReason string // an open word, such as sip_user_unavailable
	Languages     []string
	Raw           json.RawMessage // secrets removed
}

// UnmarshalJSON reads what can be read. It fails only for what is no object. The unit of
// Duration is not stated; it is seconds in every example seen.
func (s *Session) UnmarshalJSON(b []byte) error {
	*s = Session{}
	err := members(b, func(name string, v gjson.Result) {
		switch name {
		case "id":
			s.ID = text(v)
		case "org_id":
			s.OrgID = text(v)
		case "use_case_id", "workflow_id":
			if id := text(v); id != "" {
				s.WorkflowID = id
			}
		case "version_id":
			s.VersionID = text(v)
		case "run_id":
			s.RunID = text(v)
		case "user_number":
			s.UserNumber = text(v)
		case "status":
			s.Status = SessionStatus(text(v))
		case "type":
			s.Type = text(v)
		case "duration":
			s.Duration, _ = number(v)
		case "timestamp":
			s.Created = moment(v)
		case "call_connected_at":
			s.Connected = moment(v)
		case "sip_code":
			s.SIPCode = text(v)
		case "sip_reason":
			s.SIPReason = text(v)
		case "failure_reason":
			s.FailureReason = text(v)
		case "languages":
			if v.IsArray() {
				v.ForEach(func(_, language gjson.Result) bool {
					s.Languages = append(s.Languages, text(language))
					return true
				})
			}
		}
	})
	if err == nil {
		s.Raw = kept(b)
	}
	return err
}

// LastSession is the one that began last, whose status is the outcome for users: a run is
// completed although nobody answered. ok is false where there is none. Of those that began
// at the same time, it is the last of the list.
func LastSession(sessions []Session) (last Session, ok bool) {
	for _, s := range sessions {
		if !ok || !s.Created.Before(last.Created) {
			last, ok = s, true
		}
	}
	return last, ok
}

// SortSessions orders sessions by when they began, oldest first. Others keep their order.
func SortSessions(sessions []Session) {
	slices.SortStableFunc(sessions, func(a, b Session) int { return a.Created.Compare(b.Created) })
}

// GetSession reads one session, GET /sessions/{session_id}, and repeats that until it is
// answered. For one that the API does not know happyrobot.IsNotFound holds. An answer
// about another session is unreadable.
func (c *Client) GetSession(ctx context.Context, id string) (session Session, err error) {
	err = c.get(ctx, "getSession", map[string]string{"session_id": id}, nil, func(body []byte) error {
		if err := json.Unmarshal(body, &session); err != nil {
			return err
		}
		if session.ID == "" {
			if inner := unwrapped(body); len(inner) < len(body) {
				if err := json.Unmarshal(inner, &session); err != nil {
					return err
				}
			}
		}
		switch {
		case !same(session.ID, id):
			return errOther
		case session.ID == "" && session.Status == "":
			return errNoID
		}
		return nil
	})
	if err != nil {
		return Session{}, err
	}
	session.ID = id
	return session, nil
}

// ListRunSessions reads the sessions of a run, oldest first, page by page as they are
// taken, GET /runs/{run_id}/sessions. It ends at the first error, which comes with a zero
// Session. A session of another run is one. See ListRuns for the rest.
func (c *Client) ListRunSessions(ctx context.Context, run string) iter.Seq2[Session, error] {
	return c.sessions(ctx, "listRunSessions", map[string]string{"run_id": run}, url.Values{"sort": {string(Ascending)}}, func(s Session) bool { return same(s.RunID, run) })
}

// ListWorkflowSessions reads the sessions of all runs of a workflow, by UUID or slug, GET
// /workflows/{workflow_id}/sessions. How the API takes it is inferred.
func (c *Client) ListWorkflowSessions(ctx context.Context, workflow string, sort Sort) iter.Seq2[Session, error] {
	query := url.Values{}
	if sort != "" {
		query.Set("sort", string(sort))
	}
	return c.sessions(ctx, "listWorkflowSessions", map[string]string{"workflow_id": workflow}, query, nil)
}

// ListSessionsByCaller reads the sessions of a phone number, in E.164 form, GET /sessions/,
// from a time on; zero is any. To find one proves it, to find none proves nothing: only
// sessions with a communication event are listed, and a number without a contact is
// answered 404.
func (c *Client) ListSessionsByCaller(ctx context.Context, number string, from time.Time) iter.Seq2[Session, error] {
	query := url.Values{"caller_id": {number}}
	if !from.IsZero() {
		query.Set("start_date", stamp(from))
	}
	return c.sessions(ctx, "listSessionsByCaller", nil, query, nil)
}

func (c *Client) sessions(ctx context.Context, op string, path map[string]string, query url.Values, belongs func(Session) bool) iter.Seq2[Session, error] {
	return listOf(ctx, c, op, path, query, func(item []byte) (s Session, err error) {
		if s.UnmarshalJSON(item) != nil {
			return Session{Raw: kept(item)}, nil // which has its place
		}
		if belongs != nil && !belongs(s) {
			err = errOther
		}
		return s, err
	})
}

// listOf reads a list whose pages are small, as of sessions and messages.
func listOf[T any](ctx context.Context, c *Client, op string, path map[string]string, query url.Values, read func([]byte) (T, error)) iter.Seq2[T, error] {
	return walk(op, mostSessions, true, func(page, size int) (Page[T], error) {
		q := url.Values{"page": {strconv.Itoa(page)}, "page_size": {strconv.Itoa(size)}}
		maps.Copy(q, query)
		return pageOf(ctx, c, happyrobot.Request{Operation: operation(op), Path: path, Query: q}, read)
	})
}

// Recording is where the recording of a session can be fetched. The URL is signed and
// lives for a day or a few: fetch it soon, and show it to nobody.
type Recording struct {
	SessionID string
	URL       string
	Raw       json.RawMessage
}

// String hides what signs the URL, so that a log does not show it.
func (r Recording) String() string { return "recording of session " + r.SessionID }

// GoString is String.
func (r Recording) GoString() string { return r.String() }

// ListRecordings reads where the recordings of a run are, GET /runs/{run_id}/recordings,
// one for each voice session, and repeats that until it is answered. How long after the end
// a recording is there is not stated: none may mean not yet. The URLs live for a number of
// days, 1 to 7; 0 is what the API gives.
func (c *Client) ListRecordings(ctx context.Context, run string, days int) (recordings []Recording, err error) {
	query := url.Values{}
	if days > 0 {
		query.Set("url_expires_in_days", strconv.Itoa(days))
	}
	err = c.get(ctx, "listRunRecordings", map[string]string{"run_id": run}, query, func(body []byte) error {
		recordings = nil
		if err := valid(body); err != nil {
			return err
		}
		list := gjson.ParseBytes(body)
		if list.IsObject() {
			found := list.Get("recordings")
			if !found.Exists() {
				found = list.Get("data")
			}
			list = found
		}
		if !list.IsArray() {
			return errNoList
		}
		list.ForEach(func(_, item gjson.Result) bool {
			if u := text(item.Get("url")); u != "" {
				recordings = append(recordings, Recording{SessionID: text(item.Get("session_id")), URL: u, Raw: kept([]byte(item.Raw))})
			}
			return true
		})
		return nil
	})
	return recordings, err
}
