package callfeed

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// RunUnit is the unit of Runs.
var RunUnit = Unit{
	One: "run", Many: "runs", MaxAge: "max_run_age", Dropped: words.MetricRunsDropped,
	Part: "sessions", Parts: "sessions", Queues: true,
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

	most    int       // runs that the API gives on a page, where that is fewer than it was asked for; 0 while it is not known
	gives   int       // pages of up to this size are as large as they are asked for
	learned time.Time // when either was forgotten last: the API may change its mind
}

// leastCap is the least size that is taken for all the API gives without another proof:
// below, numbered pages do not overlap at every offset.
const leastCap = 20

// usualPage is how many runs any page is taken to have room for. Larger ones count only
// while they come full: a gap looks the same as a smaller page.
const usualPage = 100

// List reads the page that shows the offset of q. Pages are numbered by their size, so
// one that has another size than was asked for begins elsewhere.
func (r *Runs) List(ctx context.Context, q Query) (Page, error) {
	asked := platform.RunQuery{From: q.From, Sort: platform.Ascending, Once: q.Once}
	if q.Newest {
		asked.Sort = platform.Descending
	}
	if now := time.Now(); now.Sub(r.learned) >= smallAgain {
		r.most, r.gives, r.learned = 0, 0, now
	}
	const tries = 4 // the first page may be of a size, and then a later one of a smaller
	for range tries {
		limit := q.Limit
		if r.most > 0 {
			limit = min(limit, r.most)
		}
		var before int
		asked.Page, asked.PageSize, before = numbered(q.Skip, limit)
		if r.most > 0 && asked.PageSize > r.most {
			return Page{}, unusableList("%w: pages hold %d runs, which is too few to be read on", happyrobot.ErrOtherForm, r.most)
		}
		page, err := r.page(ctx, asked)
		if err != nil {
			return Page{}, err
		}
		size, more, err := r.sizeOf(ctx, page, asked)
		if err != nil {
			return Page{}, err
		}
		if size == 0 || size != asked.PageSize && (asked.Page > 1 || before > 0) {
			continue // it begins elsewhere, or ends before the offset
		}
		found, room := len(page.Items), min(size, asked.PageSize)
		gaps := found < room && (more || page.Records > (asked.Page-1)*room+found)
		runs := page.Items
		if !gaps { // else nobody says which of them come before the offset
			runs = runs[min(before, found):]
			runs = runs[:min(len(runs), q.Limit)]
		}
		items := make([]Item, len(runs))
		for i := range runs {
			items[i] = r.item(runs[i])
			items[i].Listed = true
		}
		return Page{Items: items, Room: room - before, Gaps: gaps, More: more}, nil
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

// sizeOf is how many places of the list a page covers, and whether more follow. A page that
// is shorter than asked for is the last one, or as long as the API's pages are, or some of
// its runs are not shown. The size is 0 when a smaller page must be asked for to tell.
func (r *Runs) sizeOf(ctx context.Context, page platform.Page[platform.Run], q platform.RunQuery) (size int, more bool, err error) {
	found := len(page.Items)
	if found >= q.PageSize {
		r.gives = max(r.gives, q.PageSize)
		return q.PageSize, true, nil
	}
	more, known := follows(page, q)
	if !known && found > 0 {
		next := q
		next.Page++
		after, err := r.page(ctx, next)
		if err != nil {
			return 0, false, err
		}
		more = len(after.Items) > 0
	}
	switch {
	case q.PageSize <= r.gives, !more && (found == 0 || q.Page == 1):
		return q.PageSize, more, nil
	case q.Page > 1: // what the API gives shows best where most follows
		first := q
		first.Page = 1
		if page, err = r.page(ctx, first); err != nil {
			return 0, false, err
		}
		if follow, known := follows(page, first); known && !follow {
			return q.PageSize, more, nil // the list has changed
		}
	}
	size, err = r.learn(ctx, page, q)
	return size, more, err
}

// follows says whether more runs follow a page, and whether that is known. As an empty page
// shows nothing, there the number of pages or of runs must say so, too.
func follows(page platform.Page[platform.Run], q platform.RunQuery) (more, known bool) {
	size := q.PageSize
	if page.Size > 1 {
		size = min(size, page.Size)
	}
	counted := page.Records > q.Page*size
	switch found := len(page.Items); {
	case page.MoreKnown && found == 0:
		return page.More && (counted || page.Pages > q.Page), true
	case page.MoreKnown:
		return page.More, true
	default:
		return counted, counted
	}
}

// learn tells, from the first page of a size, which is short though more follows, whether
// pages are that large and some runs are not shown, or how large they are. Where both would
// do, pages count as smaller, which costs requests and skips nothing. See sizeOf.
func (r *Runs) learn(ctx context.Context, first platform.Page[platform.Run], q platform.RunQuery) (int, error) {
	found, size := len(first.Items), q.PageSize
	switch {
	case first.Size > max(1, found) && first.Size < size:
		r.most = first.Size
		return r.most, nil
	case found >= size:
		r.gives = max(r.gives, size)
		return size, nil
	case found > 0:
		q.Page, q.PageSize = 1, found
		smaller, err := r.page(ctx, q)
		if err != nil {
			return 0, err
		}
		if len(smaller.Items) < found {
			break // some are missing in the first places, and those after them were shown
		}
		r.gives = max(r.gives, found)
		if found < leastCap {
			q.Page = 2
			second, err := r.page(ctx, q)
			if err != nil {
				return 0, err
			}
			if len(second.Items) == 0 {
				break // what a larger page should have shown is not shown in smaller ones
			}
		}
		if found < 2 { // pages overlap by one run, so such a list is never read on
			return 0, unusableList("%w: pages hold a single run", happyrobot.ErrOtherForm)
		}
		r.most = found
		return r.most, nil
	}
	if sure := max(r.gives, usualPage); size > sure {
		r.most = sure
		return 0, nil
	}
	return size, nil
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
		Over: run.Status.Over(), Ended: run.Completed, Later: run.Status.Is(platform.RunScheduled), Queued: run.Status.Is(platform.RunScheduled),
		Foreign: elsewhere || run.E2ETest,
		Raw:     run.Raw, Object: run,
	}
}
