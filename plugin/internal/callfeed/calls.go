package callfeed

import (
	"context"
	"encoding/json"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// CallUnit is the unit of Calls.
var CallUnit = Unit{
	One: "call", Many: "calls", MaxAge: "max_call_age", Dropped: words.MetricCallsDropped,
	Part: "transcript", Parts: "transcripts",
	Advice:   "If it means that a call is over, list it in `statuses`, together with all others that you want.",
	SamePage: happyrobot.ErrSamePage,
}

// CallsAPI is the part of the v1 client that lists calls.
type CallsAPI interface {
	// ListCallsPage answers with at most q.Limit of the calls that q asks for.
	ListCallsPage(ctx context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error)
	// GetCall reads one call.
	GetCall(ctx context.Context, id string) (happyrobot.Call, error)
}

// Calls lists the calls of the v1 API. The Object of an item is a happyrobot.Call.
type Calls struct {
	API      CallsAPI
	Filter   happyrobot.ListCallsQuery // what cannot change: direction, use cases, campaigns
	Statuses []happyrobot.Status       // those that are not documented, and here, end a call
}

// List reads a page of the list of calls.
func (c Calls) List(ctx context.Context, q Query) (Page, error) {
	asked := c.Filter
	asked.From, asked.Limit, asked.Skip, asked.Once, asked.Sort = q.From, q.Limit, q.Skip, q.Once, "asc"
	if q.Newest {
		asked.Sort = "desc"
	}
	calls, err := c.API.ListCallsPage(ctx, asked)
	if err != nil {
		return Page{}, err
	}
	page := Page{Items: make([]Item, len(calls)), Room: q.Limit}
	for i := range calls {
		page.Items[i] = c.item(calls[i])
	}
	return page, nil
}

// Get reads one call.
func (c Calls) Get(ctx context.Context, id string) (Item, error) {
	call, err := c.API.GetCall(ctx, id)
	if err != nil {
		return Item{}, err
	}
	return c.item(call), nil
}

func (c Calls) item(call happyrobot.Call) Item {
	s := call.Status
	item := Item{
		ID: call.ID, Created: call.Created, Status: s, Known: s.Known(),
		Over: s.Final() || !s.Known() && s.In(c.Statuses), Later: s.Is(happyrobot.StatusScheduled),
		Foreign: c.Filter.Type != "" && call.Type != "" && happyrobot.Fold(string(call.Type)) != happyrobot.Fold(string(c.Filter.Type)),
		Raw:     call.Raw, Object: call,
	}
	if item.Later {
		item.Due = scheduledFor(call.Raw)
	}
	return item
}

// scheduledFor is when a scheduled call is due, or zero if the API does not say.
func scheduledFor(raw json.RawMessage) time.Time {
	var m struct {
		ScheduledFor string `json:"scheduled_for"`
	}
	_ = json.Unmarshal(raw, &m) // another type is no date
	due, _ := time.Parse(time.RFC3339, m.ScheduledFor)
	return due
}
