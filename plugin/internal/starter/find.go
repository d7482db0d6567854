package starter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// listPage is how many runs of the list are asked for at a time.
const listPage = 500

var errNoKey = errors.New("without api_key runs cannot be listed")

// List implements dialer.API. A run shows the reference that it was started with in two
// places:
//
//	columns   what somebody added to the table of runs, part of the list
//	trigger   what the trigger was given, which is read run by run; see open
//
// In both, what is at the reference's own place decides alone, see ownPlaces. Where no
// reference is there, any text counts.
//
// So the list is gone through for columns first. Runs without the column are candidates,
// but for those that this process itself started. They are opened from the oldest on, until
// nobody is looked for any more; at once where no run shows a reference among its columns,
// else only where the list must be final.
//
// The newest runs are asked for first: that one answer says what time the API has, and has
// all that is wanted, as a rule. Runs that come meanwhile move others to a later page, so
// none is missed. Where it goes back further, runs are listed from the oldest on.
func (s *Starter) List(ctx context.Context, want dialer.Listing) iter.Seq2[dialer.PlacedCall, error] {
	return func(yield func(dialer.PlacedCall, error) bool) {
		l := &listing{Starter: s, want: want, yield: yield, seen: map[string]bool{}}
		if err := l.all(ctx); err != nil && !l.ended {
			yield(dialer.PlacedCall{}, err)
		}
	}
}

// listing is one walk through the list.
type listing struct {
	*Starter
	want  dialer.Listing
	yield func(dialer.PlacedCall, error) bool
	ended bool // nobody takes more

	from       time.Time
	seen       map[string]bool
	candidates []platform.Run
	waited     int // for runs without an output, see givenSoon
}

func (l *listing) all(ctx context.Context) error {
	if l.opts.Reads == nil {
		return &dialer.Unlistable{Err: errNoKey, Ever: true}
	}
	page, err := l.newestPage(ctx)
	if err != nil {
		return notListed(err)
	}
	l.from = l.want.From(newest(page.Items))
	for _, run := range slices.Backward(page.Items) {
		if !l.take(run) {
			return nil
		}
	}
	if !l.reaches(page) {
		listed := len(page.Items)
		for run, err := range l.opts.Reads.ListRuns(ctx, l.opts.Workflow, platform.RunQuery{From: l.from, Sort: platform.Ascending, PageSize: listPage}) {
			if err != nil {
				return notListed(err)
			}
			listed++
			if !l.take(run) {
				return nil
			}
		}
		if listed == 0 && page.Records > 0 {
			return errMissingRuns
		}
	}
	return l.open(ctx)
}

// errMissingRuns is of a list that contradicts itself, which shows nothing.
var errMissingRuns = &happyrobot.Error{
	Op: "listRuns", Status: http.StatusOK,
	Err: fmt.Errorf("%w: the list says that there are runs, and gives none", happyrobot.ErrOtherForm),
}

// newestPage is the page of the newest runs, a smaller one where its reply is too large.
func (l *listing) newestPage(ctx context.Context) (page platform.Page[platform.Run], err error) {
	for size := listPage; ; size /= 2 {
		err = l.ask(ctx, func() (err error) {
			page, err = l.opts.Asks.ListRunsPage(ctx, l.opts.Workflow, platform.RunQuery{Sort: platform.Descending, PageSize: size})
			return err
		})
		if size == 1 || happyrobot.ClassOf(err) != happyrobot.ClassTooLarge {
			return page, err
		}
	}
}

// reaches says whether a page of the newest runs goes back to all that is wanted. An API
// that gives another order than asked for shows that by its dates.
func (l *listing) reaches(page platform.Page[platform.Run]) bool {
	if len(page.Items) == 0 {
		return (!page.MoreKnown || !page.More) && page.Records <= 0
	}
	if page.MoreKnown && !page.More && (page.Records < 0 || page.Records <= len(page.Items)) {
		return true
	}
	last := page.Items[0].Created
	for _, run := range page.Items {
		if run.Created.IsZero() || run.Created.After(last) {
			return false
		}
		last = run.Created
	}
	return last.Before(l.from)
}

func newest(runs []platform.Run) (at time.Time) {
	for _, run := range runs {
		if run.Created.After(at) {
			at = run.Created
		}
	}
	return at
}

// give gives a run to whoever listens, and says whether more is wanted.
func (l *listing) give(run platform.Run, ref string, why error) bool {
	if !l.yield(dialer.PlacedCall{ID: run.ID, Ref: ref, NoRef: why, Created: run.Created, Raw: run.Raw}, nil) {
		l.ended = true
	}
	return !l.ended
}

var errUnreadableRun = errors.New("the list has a run that cannot be read")

// take takes a run of the list, and says whether more is wanted.
func (l *listing) take(run platform.Run) bool {
	if run.ID == "" {
		return l.give(run, "", errUnreadableRun)
	}
	if l.seen[run.ID] {
		return true
	}
	l.seen[run.ID] = true
	own, trigger := l.opts.Shared.ownRef(run.ID), l.opts.Shared.triggerID()
	refs := l.places.inColumns(run.Columns, trigger)
	marked := len(refs) > 0 && trigger != "" // with a reference, whosever
	if len(refs) == 0 {
		refs = quoted(run.Columns)
	}
	for _, ref := range refs {
		if marked = marked || ref == own; l.want.Ours(ref) {
			l.opts.Shared.columns.Store(true)
			return l.give(run, ref, nil)
		}
	}
	if marked {
		l.opts.Shared.columns.Store(true)
	}
	switch refs, read := l.opts.Shared.refsOf(run.ID); {
	case own != "" && l.want.Ours(own): // its answer came, and could not be recorded
		return l.give(run, own, nil)
	case own != "":
		if !marked {
			l.withoutColumn()
		}
	case marked, !run.Created.IsZero() && run.Created.Before(l.from):
	case read:
		return l.match(run, refs)
	default:
		l.candidates = append(l.candidates, run)
	}
	return true
}

// match gives a run that has these references, if it is looked for.
func (l *listing) match(run platform.Run, refs []string) bool {
	if i := slices.IndexFunc(refs, l.want.Ours); i >= 0 {
		return l.give(run, refs[i], nil)
	}
	return true
}

// withoutColumn says once that references are not listed.
func (s *Starter) withoutColumn() {
	if s.opts.OnNoColumn != nil {
		s.opts.Shared.noColumn.Do(s.opts.OnNoColumn)
	}
}

// notListed is the error of a list: of a key that may not list, waiting is no use.
func notListed(err error) error {
	var e *happyrobot.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Status == http.StatusForbidden && !e.HTML:
		return &dialer.Unlistable{Err: fmt.Errorf("%w; the key may not list runs, so give it a role that may", err)}
	case happyrobot.IsNotFound(err) && !e.HTML: // a page is not the API's
		return &dialer.Unlistable{Err: fmt.Errorf("%w; there is no workflow of this id or slug to list runs of, or the key may not see it", err)}
	}
	return err
}

// ask repeats a read that is made once until it is answered: what it is refused for is
// seen, not waited for. Whoever looks is told of each try.
func (l *listing) ask(ctx context.Context, read func() error) error {
	told := l.want.Asked
	if told == nil {
		told = func(error) {}
	}
	between := pause.NewGrowing(l.opts.InitialInterval, l.opts.MaxInterval)
	for {
		err := read()
		switch happyrobot.ClassOf(err) {
		case happyrobot.ClassOutage, happyrobot.ClassSlow, happyrobot.ClassThrottled, happyrobot.ClassNotSent:
		default:
			if err == nil {
				told(nil)
			}
			return err
		}
		if ctx.Err() != nil {
			return err
		}
		told(err)
		wait := between.Next()
		var e *happyrobot.Error
		if errors.As(err, &e) {
			wait = max(wait, e.RetryAfter)
		}
		if stopped := pause.Sleep(ctx, wait); stopped != nil {
			return err
		}
	}
}
