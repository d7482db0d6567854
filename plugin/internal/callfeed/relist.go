package callfeed

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const (
	// worthAPage is how many calls must be due to be listed rather than read one by one.
	worthAPage = 3
	// poorPages is how many pages may show a single one of them until the rest is read
	// one by one: calls that are days apart share no page.
	poorPages = 2
)

// relist looks at calls that are due by listing from the oldest of them on, a page at a
// time, and answers their events and those calls that no page showed. Other open calls of
// such a page are observed, too. A list that shows a call late, or not at all, only costs
// a read of this one.
func (f *Feed) relist(ctx context.Context, due []dueCall) (events []*Event, rest []dueCall) {
	if f.opts.Relist == 0 {
		return nil, due
	}
	slices.SortFunc(due, func(x, y dueCall) int { return cmp.Or(x.created.Compare(y.created), cmp.Compare(x.key, y.key)) })
	undated := 0
	for undated < len(due) && due[undated].created.IsZero() {
		undated++
	}
	rest, due = due[:undated:undated], due[undated:]
	for poor := 0; len(due) >= worthAPage && poor < poorPages; {
		page, err := f.listOpen(ctx, due[0].created)
		if err != nil || len(page.Items) == 0 {
			break // what the trouble is, reading them one by one tells
		}
		found, left, missed := f.observePage(page.Items, due)
		events = append(events, found...)
		if len(due)-len(left)-len(missed) < 2 {
			poor++
		}
		if len(left) == len(due) {
			break // the page ends before all of them
		}
		rest, due = append(rest, missed...), left
	}
	return events, append(rest, due...)
}

// listOpen lists open calls from a date on, in a smaller page if a larger one fails. A size
// that failed is tried again after a while.
func (f *Feed) listOpen(ctx context.Context, from time.Time) (Page, error) {
	if time.Since(f.relistTried) >= smallAgain {
		f.relistMost = f.opts.Relist
	}
	for {
		limit := max(min(f.relistMost, f.size.most), 1)
		page, err := f.opts.API.List(ctx, Query{From: listFrom(from), Limit: limit, Once: true})
		if c := happyrobot.ClassOf(err); c != happyrobot.ClassTooLarge && c != happyrobot.ClassRefused || limit < 2*worthAPage || ctx.Err() != nil {
			return page, err
		}
		f.relistMost, f.relistTried = limit/2, time.Now()
	}
}

// listFrom is the bound to send for a list from a date on, a little earlier, since nobody
// says whether it is inclusive or how exact it is.
func listFrom(date time.Time) time.Time { return date.Add(-time.Second).Truncate(time.Second) }

// observePage observes the open calls on a page, and answers the events, and of the calls
// that are due those that come after the page, and those that it should have shown.
func (f *Feed) observePage(page []Item, due []dueCall) (events []*Event, after, missed []dueCall) {
	now := time.Now()
	left := make(map[string]bool, len(due))
	for _, c := range due {
		left[c.key] = true
	}
	var end time.Time
	for i := range page {
		item := &page[i]
		key := keyOf(item)
		if item.Created.After(end) {
			end = item.Created
		}
		found := finding{}
		switch {
		case left[key]:
			delete(left, key)
			found = f.book.looked(key, item, now)
		case !item.Foreign:
			found = f.book.shown(key, item, now)
		}
		if e := f.act(key, item, found); e != nil {
			events = append(events, e)
		}
	}
	for _, c := range due {
		switch {
		case !left[c.key]:
		case c.created.After(end.Add(-dateSlack)):
			after = append(after, c)
		default:
			missed = append(missed, c)
		}
	}
	return events, after, missed
}
