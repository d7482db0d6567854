package callfeed

import (
	"context"
	"fmt"
	"net/http"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// RunUnit is the unit of Runs.
var RunUnit = Unit{
	One: "run", Many: "runs", MaxAge: "max_run_age", Dropped: words.MetricRunsDropped,
	Part: "sessions", Parts: "sessions",
	Advice:   "One that keeps it until max_run_age is emitted as expired then.",
	SamePage: unusableList("%w", platform.ErrSamePage),
}

// RunsAPI is the part of the platform's client that lists runs.
type RunsAPI interface {
	ListRunsPage(ctx context.Context, workflow string, q platform.RunQuery) (platform.Page[platform.Run], error)
	GetRun(ctx context.Context, id string) (platform.Run, error)
}

// Runs lists the runs of one workflow of the platform. The Object of an item is a
// platform.Run; only one that was listed has columns. It is of one feed.
type Runs struct {
	API          RunsAPI
	Workflow     string                 // its UUID or slug
	Environments []platform.Environment // of the runs that are wanted; none is all

	most int // runs that the API gives on a page, where that is fewer than it was asked for; 0 while it is not known
}

// List reads the page that shows the offset of q. Pages are numbered by their size, so
// one that has another size than was asked for begins elsewhere.
func (r *Runs) List(ctx context.Context, q Query) (Page, error) {
	asked := platform.RunQuery{From: q.From, Sort: platform.Ascending, Once: q.Once}
	if q.Newest {
		asked.Sort = platform.Descending
	}
	const tries = 4 // the first page may be of a size, and then a later one of a smaller
	for range tries {
		limit := q.Limit
		if r.most > 0 {
			limit = min(limit, r.most)
		}
		var before int
		asked.Page, asked.PageSize, before = numbered(q.Skip, limit)
		page, err := r.page(ctx, asked)
		if err != nil {
			return Page{}, err
		}
		size, err := r.sizeOf(ctx, page, asked)
		if err != nil {
			return Page{}, err
		}
		if size < asked.PageSize {
			r.most = size
		}
		if size != asked.PageSize && (asked.Page > 1 || before > 0) {
			continue // it begins elsewhere, or ends before the offset
		}
		runs := page.Items[min(before, len(page.Items)):]
		runs = runs[:min(len(runs), q.Limit)]
		items := make([]Item, len(runs))
		for i := range runs {
			items[i] = r.item(runs[i])
			items[i].Listed = true
		}
		return Page{Items: items, Room: min(size, asked.PageSize) - before}, nil
	}
	return Page{}, unusableList("%w: pages have another size than they were asked for", happyrobot.ErrOtherForm)
}

func (r *Runs) page(ctx context.Context, q platform.RunQuery) (platform.Page[platform.Run], error) {
	page, err := r.API.ListRunsPage(ctx, r.Workflow, q)
	if happyrobot.IsNotFound(err) {
		err = fmt.Errorf("the API knows no workflow %q that this key may see; check workflows and the cluster: %w", r.Workflow, err)
	}
	return page, err
}

// sizeOf is how many runs a page has room for. Where the API does not say, a page that is
// shorter than asked for is the last one, or as long as the API's pages are: the next one
// tells.
func (r *Runs) sizeOf(ctx context.Context, page platform.Page[platform.Run], q platform.RunQuery) (int, error) {
	found := len(page.Items)
	switch {
	case page.Size > 1:
		return page.Size, nil
	case found == 0 || found >= q.PageSize || page.MoreKnown && !page.More:
		return q.PageSize, nil
	case !page.MoreKnown:
		q.Page++
		next, err := r.page(ctx, q)
		if err != nil || len(next.Items) == 0 {
			return q.PageSize, err
		}
	}
	if found < 2 { // pages overlap by one run, so such a list is never read on
		return 0, unusableList("%w: pages hold a single run", happyrobot.ErrOtherForm)
	}
	return found, nil
}

// unusableList is the error of a list that was answered, and cannot be read.
func unusableList(format string, args ...any) error {
	return &happyrobot.Error{Op: "listRuns", Status: http.StatusOK, Err: fmt.Errorf("reading the list: "+format, args...)}
}

// Get reads one run.
func (r *Runs) Get(ctx context.Context, id string) (Item, error) {
	run, err := r.API.GetRun(ctx, id)
	if err != nil {
		return Item{}, err
	}
	return r.item(run), nil
}

func (r *Runs) item(run platform.Run) Item {
	// Lists have the environment since August 2026; a run without one may be wanted.
	elsewhere := len(r.Environments) > 0 && run.Environment != "" && !run.Environment.In(r.Environments)
	return Item{
		ID: run.ID, Created: run.Created, Status: happyrobot.Status(run.Status), Known: run.Status.Known(),
		Over: run.Status.Over(), Ended: run.Completed, Later: run.Status.Is(platform.RunScheduled),
		Foreign: elsewhere || run.E2ETest,
		Raw:     run.Raw, Object: run,
	}
}
