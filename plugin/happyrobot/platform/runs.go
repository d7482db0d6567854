package platform

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
	"time"

	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Run is one execution of a workflow, as a list or getRun gives it. Only what this module
// acts on is typed; Raw has everything. A member that is missing or cannot be read is left
// zero.
type Run struct {
	ID          string
	OrgID       string
	WorkflowID  string // use_case_id of a list
	VersionID   string
	Status      RunStatus
	Annotation  string
	Created     time.Time
	Completed   time.Time // of the last output of a node, which may move; zero while it is open
	Environment Environment
	E2ETest     bool

	// Columns are those that somebody added to the table of runs, an object with flat
	// keys as <node id>.<path>. Only a list has them. See Texts.
	Columns json.RawMessage

	Raw json.RawMessage // secrets removed
}

// UnmarshalJSON reads what can be read. It fails only for what is no object.
func (r *Run) UnmarshalJSON(b []byte) error {
	*r = Run{}
	err := members(b, func(name string, v gjson.Result) {
		switch name {
		case "id":
			r.ID = text(v)
		case "org_id":
			r.OrgID = text(v)
		case "workflow_id", "use_case_id":
			if id := text(v); id != "" {
				r.WorkflowID = id
			}
		case "version_id":
			r.VersionID = text(v)
		case "status":
			r.Status = RunStatus(text(v))
		case "annotation":
			r.Annotation = text(v)
		case "timestamp":
			r.Created = moment(v)
		case "completed_at":
			r.Completed = moment(v)
		case "execution_environment":
			r.Environment = Environment(text(v))
		case "is_e2e_test":
			r.E2ETest = truth(v)
		case "data":
			if v.IsObject() {
				r.Columns = kept([]byte(v.Raw))
			}
		}
	})
	if err == nil {
		r.Raw = kept(b)
	}
	return err
}

// readRun reads an item of a list, which has its place whatever it is.
func readRun(item []byte) (run Run, _ error) {
	if run.UnmarshalJSON(item) != nil {
		run = Run{Raw: kept(item)}
	}
	return run, nil
}

// GetRun reads one run, GET /runs/{run_id}, and repeats that until it is answered. For one
// that the API does not know, or that the key may not see, happyrobot.IsNotFound holds:
// soon after a trigger that means not yet. An answer about another run is unreadable.
func (c *Client) GetRun(ctx context.Context, id string) (run Run, err error) {
	err = c.get(ctx, "getRun", map[string]string{"run_id": id}, nil, func(body []byte) error {
		if err := json.Unmarshal(body, &run); err != nil {
			return err
		}
		if run.ID == "" {
			if inner := unwrapped(body); len(inner) < len(body) {
				if err := json.Unmarshal(inner, &run); err != nil {
					return err
				}
			}
		}
		switch {
		case !same(run.ID, id):
			return errOther
		case run.ID == "" && run.Status == "":
			return errNoID
		}
		return nil
	})
	if err != nil {
		return Run{}, err
	}
	run.ID = id
	return run, nil
}

// CancelRun cancels a run that is scheduled or running, POST /runs/{run_id}/cancel. It ends
// a call that is going on, and cannot be undone. It returns the status that the API
// answers, such as canceled. What a run that is over answers is not stated: 400 is
// described.
func (c *Client) CancelRun(ctx context.Context, id string) (status RunStatus, err error) {
	err = c.get(ctx, "cancelRun", map[string]string{"run_id": id}, nil, func(body []byte) error {
		if len(bytes.TrimSpace(body)) == 0 {
			return nil
		}
		return members(body, func(name string, v gjson.Result) {
			if name == "status" {
				status = RunStatus(text(v))
			}
		})
	})
	return status, err
}

const (
	mostRuns     = 2000 // runs of a page, as documented
	mostSessions = 100  // sessions or messages of a page
)

// RunQuery narrows a list of runs. Zero fields do not filter. Whether the bounds are
// inclusive is not stated: ask for more and compare yourself.
type RunQuery struct {
	Status                     RunStatus // one of the first five
	From, To                   time.Time // of creation
	CompletedFrom, CompletedTo time.Time // of completion; the order stays that of creation
	Annotation                 string    // correct, incorrect or critical
	E2ETests                   *bool     // with or without alone; nil is both
	Sort                       Sort      // by creation; the API's default is Descending
	Page                       int       // from 1; of ListRunsPage alone
	PageSize                   int       // 1 to 2000; default 100
	Once                       bool      // do not repeat a page that fails
}

func (q RunQuery) values() url.Values {
	v := url.Values{}
	set := func(name, value string) {
		if value != "" {
			v.Set(name, value)
		}
	}
	set("status", string(q.Status.Canonical()))
	from := func(name string, t time.Time) {
		if !t.IsZero() {
			set(name, stamp(t))
		}
	}
	to := func(name string, t time.Time) {
		if !t.IsZero() {
			set(name, stamp(t.Add(time.Millisecond-1))) // what is cut off must not be lost
		}
	}
	from("start_date", q.From)
	to("end_date", q.To)
	from("completed_start_date", q.CompletedFrom)
	to("completed_end_date", q.CompletedTo)
	set("annotation", q.Annotation)
	if q.E2ETests != nil {
		set("is_e2e_test", strconv.FormatBool(*q.E2ETests))
	}
	set("sort", string(q.Sort))
	v.Set("page", strconv.Itoa(max(q.Page, 1)))
	v.Set("page_size", strconv.Itoa(q.size()))
	return v
}

func (q RunQuery) size() int {
	if q.PageSize <= 0 {
		return 100
	}
	return min(q.PageSize, mostRuns)
}

const opListRuns = "listRuns"

// ListRunsPage reads one page of the runs of a workflow, by UUID or slug, GET
// /workflows/{workflow_id}/runs, and repeats that until it is answered, unless Once is set.
// The API may give fewer than PageSize, which Pagination.Size says then.
func (c *Client) ListRunsPage(ctx context.Context, workflow string, q RunQuery) (Page[Run], error) {
	asked := q.size()
	if most := int(c.largestPage.Load()); most > 0 {
		q.PageSize = min(asked, most)
	}
	page, err := c.runsPage(ctx, workflow, q)
	if page.Size == 0 && q.size() < asked {
		page.Size = q.size() // a page of another size begins elsewhere, so this must be said
	}
	var e *happyrobot.Error
	if q.Page <= 1 && q.size() > mostSessions && errors.As(err, &e) && (e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity) {
		// What a page larger than the API likes is answered is not stated.
		q.PageSize = mostSessions
		smaller, again := c.runsPage(ctx, workflow, q)
		if again != nil {
			return page, err
		}
		c.largestPage.Store(mostSessions)
		if smaller.Size == 0 {
			smaller.Size = mostSessions
		}
		return smaller, nil
	}
	return page, err
}

func (c *Client) runsPage(ctx context.Context, workflow string, q RunQuery) (Page[Run], error) {
	return pageOf(ctx, c, happyrobot.Request{Operation: operation(opListRuns), Path: map[string]string{"workflow_id": workflow}, Query: q.values(), Once: q.Once}, readRun)
}

// ListRuns reads the runs of a workflow, page by page as they are taken, from the first
// on. It ends at the first error, which comes with a zero Run. A page whose reply is too
// large is asked for in smaller ones. A run that cannot be read, since it is no object or
// too large alone, has no ID: it is there, and could be any.
//
// Paging is by number: in ascending order new runs do not shift pages. A run that moves
// between pages while they are read can be given twice, or not at all.
func (c *Client) ListRuns(ctx context.Context, workflow string, q RunQuery) iter.Seq2[Run, error] {
	return walk(opListRuns, q.size(), false, func(page, size int) (Page[Run], error) {
		q.Page, q.PageSize = page, size
		return c.ListRunsPage(ctx, workflow, q)
	})
}

// CountRuns counts the runs of a query with one small request. An answer without the
// number is unreadable. With RunScheduled it is the length of the queue.
func (c *Client) CountRuns(ctx context.Context, workflow string, q RunQuery) (int, error) {
	q.Page, q.PageSize = 1, 1
	page, err := c.runsPage(ctx, workflow, q)
	switch {
	case err != nil:
		return 0, err
	case page.Records < 0:
		return 0, &happyrobot.Error{Op: opListRuns, Status: http.StatusOK, Err: fmt.Errorf("decoding the reply: %w: the list does not say how many runs there are", happyrobot.ErrOtherForm)}
	}
	return page.Records, nil
}
