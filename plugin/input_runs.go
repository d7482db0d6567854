package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// relistedRuns is how many runs a page may have that shows open ones.
const relistedRuns = 500

// unreadPatience is how long to try to read the parts of a run. That they cannot be read
// is no sign that they will not be there, as in an outage.
const unreadPatience = 30 * time.Minute

func newRunsInputFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.BatchInput, error) {
	in := &runsInput{runs: make(chan *callfeed.Event), log: res.Logger()}
	if err := in.fromParsed(conf, res); err != nil {
		return nil, err
	}
	emitted := fromZero(res.Metrics().NewCounter(words.MetricRunsEmitted, "outcome"), words.OutcomeNames(runsInputName)...)
	dropped := fromZero(res.Metrics().NewCounter(words.MetricRunsDropped, "reason"), words.Deleted, words.Expired)
	progress := newProgress(res, len(in.feeds))
	for i := range in.feeds {
		o := &in.feeds[i]
		o.Log = in.log
		o.OnEmit = func(outcome string) { emitted.Incr(1, outcome) }
		o.OnDrop = func(reason string) { dropped.Incr(1, reason) }
		o.OnProgress = func(watched int, behind time.Duration) { progress.report(i, watched, behind) }
	}
	return in, nil
}

func (in *runsInput) fromParsed(conf *service.ParsedConfig, res *service.Resources) error {
	client, err := platformFromParsed(conf, res, newPausedGauge(res, runsInputName), true)
	if err != nil {
		return err
	}
	in.client = client
	client.options.Retry.MaxElapsedTime = readPatience
	client.options.OnRepeat = nil // the feeds report what lasts
	if in.parts.api, err = client.platformClient(); err != nil {
		return err
	}
	in.opening = client.paused.wait()
	if err := in.parts.fromParsed(conf, res); err != nil {
		return err
	}
	o := callfeed.Options{Unit: callfeed.RunUnit, Relist: relistedRuns, UnreadTimeout: unreadPatience, CauseOf: listingCause, Wait: client.paused.wait}
	if o.Replay, err = conf.FieldBool(service.AutoRetryNacksToggleFieldName); err != nil {
		return err
	}
	start, err := conf.FieldString(icFieldStartFrom)
	if err != nil {
		return err
	}
	if in.start, err = parseStart(start); err != nil {
		return err
	}
	emit, err := choice(conf, icFieldEmit, emitRun, emitSession, emitChanges)
	if err != nil {
		return err
	}
	o.Changes, in.sessions = emit == emitChanges, emit == emitSession
	o.Parts = in.readParts // whatever include says: the columns of a run are one
	if o.PageSize, err = conf.FieldInt(icFieldPageSize); err != nil {
		return err
	}
	if o.PageSize < leastRunsPage || o.PageSize > mostRunsPage {
		return fmt.Errorf("%s: must be from %d to %d", icFieldPageSize, leastRunsPage, mostRunsPage)
	}
	for field, into := range map[string]*time.Duration{
		icFieldPollInterval: &o.Poll, irFieldMaxRunAge: &o.MaxAge,
		icFieldListLag: &o.Lag, icFieldIncludeTimeout: &o.PartsTimeout,
	} {
		if *into, err = positiveDuration(conf, field); err != nil {
			return err
		}
	}
	return in.feedsFromParsed(conf, res, o)
}

// feedsFromParsed gives each workflow a feed and a cursor of its own.
func (in *runsInput) feedsFromParsed(conf *service.ParsedConfig, res *service.Resources, common callfeed.Options) error {
	cache, err := conf.FieldString(icFieldCache)
	if err != nil {
		return err
	}
	if !res.HasCache(cache) {
		return fmt.Errorf("%s: no cache resource is labelled %q", icFieldCache, cache)
	}
	names, err := conf.FieldStringList(irFieldEnvironments)
	if err != nil {
		return err
	}
	var environments []platform.Environment
	for _, name := range names {
		e := platform.Environment(name)
		if !e.In([]platform.Environment{platform.Production, platform.Staging, platform.Development}) {
			return fmt.Errorf("%s: %q is not one of production, staging, development", irFieldEnvironments, name)
		}
		environments = append(environments, e)
	}
	workflows, err := conf.FieldStringList(irFieldWorkflows)
	if err != nil {
		return err
	}
	if len(workflows) == 0 {
		return fmt.Errorf("%s: must name at least one workflow", irFieldWorkflows)
	}
	for i, workflow := range workflows {
		if err := happyrobot.ValidateOpaqueID(workflow); err != nil {
			return fmt.Errorf("%s: %w", irFieldWorkflows, err)
		}
		if slices.Contains(workflows[:i], workflow) {
			return fmt.Errorf("%s: %q is there twice", irFieldWorkflows, workflow)
		}
		store, err := newCursor(res, cache, runsInputName, "runs")
		if err != nil {
			return err
		}
		store.key += "/" + workflow
		o := common
		o.Store = store
		o.API = &callfeed.Runs{API: in.parts.api, Workflow: workflow, Environments: environments}
		in.feeds = append(in.feeds, o)
	}
	return nil
}

// listingCause is what is waited for when runs cannot be listed or read: a workflow that
// the API does not know is a wrong setup.
func listingCause(err error) string {
	if happyrobot.IsNotFound(err) {
		return words.CauseSetup
	}
	return causeOf(err)
}

// progress shows how far the feeds of an input have come, together.
type progress struct {
	watched, lag *service.MetricGauge

	mu   sync.Mutex
	open []int
	late []time.Duration
}

func newProgress(res *service.Resources, feeds int) *progress {
	p := &progress{
		watched: res.Metrics().NewGauge(words.MetricRunsWatched), lag: res.Metrics().NewGauge(words.MetricRunsLag),
		open: make([]int, feeds), late: make([]time.Duration, feeds),
	}
	p.watched.Set(0)
	p.lag.Set(0)
	return p
}

func (p *progress) report(feed, open int, late time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[feed], p.late[feed] = open, late
	all := 0
	for _, n := range p.open {
		all += n
	}
	p.watched.Set(int64(all))
	p.lag.Set(int64(slices.Max(p.late) / time.Second))
}

// runsInput emits the events of several feeds, one for each workflow.
type runsInput struct {
	client   clientConfig
	feeds    []callfeed.Options
	start    func(time.Time) time.Time
	opening  func(cause string) // shows that a cursor cannot be read
	parts    runParts
	sessions bool      // a message for each
	unlisted sync.Once // the warning of a run that comes without them
	log      *service.Logger

	runs   chan *callfeed.Event // of all feeds
	pumps  sync.WaitGroup       // that fill it
	silent sync.WaitGroup       // acknowledge runs that give no message

	mu     sync.Mutex
	open   []*callfeed.Feed
	stop   context.CancelFunc // of pumps
	failed chan struct{}      // closed when one of the feeds gave up
	ended  error              // why, for good
	closed bool
}

// Connect reads the cursors and starts the feeds.
func (in *runsInput) Connect(ctx context.Context) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.closed:
		return service.ErrEndOfInput
	case in.ended != nil:
		return in.ended
	case in.open != nil:
		return nil
	}
	var open []*callfeed.Feed
	for _, o := range in.feeds {
		o.Start = in.start(time.Now())
		feed, err := callfeed.Open(ctx, o)
		if err != nil {
			in.opening(words.CauseLedger)
			for _, other := range open {
				err = errors.Join(err, other.Close(ctx))
			}
			return fmt.Errorf("opening a cursor (%s): %w", words.CauseLedger, err)
		}
		open = append(open, feed)
	}
	in.opening("")
	// The pumps outlive the context, which is for connecting only; Close ends them.
	pumping, stop := context.WithCancel(context.WithoutCancel(ctx))
	in.open, in.stop, in.failed = open, stop, make(chan struct{})
	for _, feed := range open {
		in.pumps.Go(func() { in.pump(pumping, feed) })
	}
	return nil
}

// pump hands on the events of one feed.
func (in *runsInput) pump(ctx context.Context, feed *callfeed.Feed) {
	for {
		event, err := feed.Next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				in.giveUp(err)
			}
			return
		}
		select {
		case in.runs <- event:
		case <-ctx.Done():
			return // it stays open in the cursor
		}
	}
}

// giveUp ends the input, when one of its feeds did: another input owns a cursor.
func (in *runsInput) giveUp(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended == nil {
		in.ended = err
		close(in.failed)
	}
}

// ReadBatch waits for the next run.
func (in *runsInput) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	in.mu.Lock()
	failed := in.failed
	in.mu.Unlock()
	if failed == nil {
		return nil, nil, service.ErrNotConnected
	}
	for {
		select {
		case event := <-in.runs:
			batch := in.messagesOf(event)
			if len(batch) > 0 {
				return batch, event.Ack, nil
			}
			// A context of its own would not end sooner: Close ends all such waits.
			in.silent.Go(func() { _ = event.Ack(context.WithoutCancel(ctx), nil) })
		case <-failed:
			return nil, nil, service.ErrNotConnected
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// Close ends the feeds, after what was acknowledged is saved.
func (in *runsInput) Close(ctx context.Context) error {
	in.mu.Lock()
	in.closed = true
	open, stop := in.open, in.stop
	in.mu.Unlock()
	defer in.client.close()
	if stop == nil {
		return nil
	}
	stop()
	in.pumps.Wait()
	var failures error
	for _, feed := range open {
		err := feed.Close(ctx)
		if errors.Is(err, callfeed.ErrTakenOver) || errors.Is(err, callfeed.ErrNewerState) {
			continue // which Connect has reported
		}
		failures = errors.Join(failures, err)
	}
	in.silent.Wait()
	return failures
}
