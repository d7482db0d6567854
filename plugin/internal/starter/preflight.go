package starter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	// expiresSoon is how long before its end a key is warned of.
	expiresSoon = 14 * 24 * time.Hour
	// againAfter is how soon a workflow that cannot or must not be started is looked at again.
	againAfter = 30 * time.Second
	// laterAfter is how soon, in multiples of that, what the API would not tell is.
	laterAfter = 10
)

// Preflight checks, before the first run is started, what can be checked: the key, the
// workflow, that it is live, and its trigger. What the API does not answer is checked again
// until it does; no run waits for that, but for the first try, and a run after the
// workflow was found unknown or not live: it may have been published meanwhile.
type Preflight struct {
	s       *Starter
	timeout time.Duration
	settle  time.Duration
	again   time.Duration // againAfter
	log     pause.Logger
	grouped *pause.Notice

	begin sync.Once
	stop  context.CancelFunc // nil: it was not started
	ended chan struct{}
	first chan struct{} // closed: the first try is over
	wake  chan struct{} // holds one token: it is time to check again
	turn  chan struct{} // holds one token, whose owner checks before a run

	mu      sync.Mutex
	summary string
	groups  error // why nothing may be started, as the trigger was read last
	doubted bool  // what was found may have changed: check before the next run
	said    map[string]bool
}

// NewPreflight makes the preflight of a starter. It takes a timeout at most for one try, and
// looks at the first run that was started once it has settled. grouped reports that nothing
// may be started.
func (s *Starter) NewPreflight(timeout, settle time.Duration, log pause.Logger, grouped *pause.Notice) *Preflight {
	p := &Preflight{
		s: s, timeout: timeout, settle: settle, log: log, grouped: grouped, said: map[string]bool{}, again: againAfter,
		ended: make(chan struct{}), first: make(chan struct{}), wake: make(chan struct{}, 1), turn: make(chan struct{}, 1),
		summary: "preflight is not over",
	}
	p.turn <- struct{}{}
	s.preflight = p
	return p
}

// Start begins it in the background, once. Stop ends it.
func (p *Preflight) Start() {
	p.begin.Do(func() {
		ctx, stop := context.WithCancel(context.Background())
		p.mu.Lock()
		p.stop = stop
		p.mu.Unlock()
		go p.run(ctx)
	})
}

// Stop ends it, and waits for that. It may be called twice, and without Start.
func (p *Preflight) Stop() {
	p.begin.Do(func() { close(p.ended) })
	p.mu.Lock()
	stop := p.stop
	p.mu.Unlock()
	if stop != nil {
		stop()
	}
	<-p.ended
}

// Ready is First, and then says why nothing may be started.
func (p *Preflight) Ready(ctx context.Context) error {
	if err := p.First(ctx); err != nil {
		return err
	}
	return p.mayNot()
}

// First waits until the first try is over, or there is none. An error is that of ctx.
func (p *Preflight) First(ctx context.Context) error {
	select {
	case <-p.first:
		return nil
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *Preflight) mayNot() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.groups
}

// Summary is what was found, for an error.
func (p *Preflight) Summary() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.summary
}

func (p *Preflight) run(ctx context.Context) {
	defer close(p.ended)
	var looks sync.WaitGroup
	looks.Go(func() { p.lookForColumn(ctx) })
	p.checkAll(ctx)
	looks.Wait()
}

// mostColumnLooks is how often the first runs are looked for in the list.
const mostColumnLooks = 5

// lookForColumn looks whether the first run that was started is listed with its reference.
func (p *Preflight) lookForColumn(ctx context.Context) {
	select {
	case <-p.s.opts.Shared.firstStarted():
	case <-ctx.Done():
		return
	}
	wait := p.settle
	for range mostColumnLooks {
		if pause.Sleep(ctx, wait) != nil {
			return
		}
		wait = 2 * max(wait, time.Second)
		runs, err := p.s.opts.Asks.ListRunsPage(ctx, p.s.opts.Workflow, platform.RunQuery{Sort: platform.Descending, PageSize: listPage})
		if err != nil {
			continue
		}
		for _, run := range runs.Items {
			ref := p.s.opts.Shared.ownRef(run.ID)
			switch {
			case ref == "":
				continue
			case platform.Holds(run.Columns, ref):
				p.s.opts.Shared.columns.Store(true)
			default:
				p.s.withoutColumn()
			}
			return
		}
	}
}

// checkAll checks until all is answered, and whenever it is woken.
func (p *Preflight) checkAll(ctx context.Context) {
	waiter := p.grouped.Waiter()
	defer func() { waiter.Stop() }()
	between := pause.NewGrowing(p.s.opts.InitialInterval, p.s.opts.MaxInterval)
	for first := true; ; first = false {
		f := p.check(ctx)
		if ctx.Err() != nil {
			return
		}
		p.note(f)
		groups := p.mayNot()
		if groups != nil {
			waiter.Trouble(groups)
		} else {
			waiter.Recovered()
			waiter = p.grouped.Waiter()
		}
		if first {
			close(p.first)
		}
		var due <-chan time.Time // nil: all is known
		switch {
		case f.away != nil:
			due = time.After(between.Next())
		case groups != nil || f.again:
			due = time.After(p.again)
		case !f.read:
			due = time.After(laterAfter * p.again)
		}
		select {
		case <-due:
		case <-p.wake:
		case <-ctx.Done():
			return
		}
	}
}

// note keeps what one try found. Only a trigger that was read says whether it puts several
// leads into one run.
func (p *Preflight) note(f findings) {
	p.mu.Lock()
	p.summary = f.summary()
	if f.read {
		p.groups = f.groups
	}
	p.doubted = f.again || p.doubted
	warnings, known := p.news(f)
	p.mu.Unlock()
	for _, warning := range warnings {
		p.log.Warnf("%s.", warning)
	}
	if known != "" {
		p.log.Infof("%s.", known)
	}
}

// doubt says that what was found may have changed.
func (p *Preflight) doubt() {
	p.mu.Lock()
	p.doubted = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *Preflight) doubtful() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doubted
}

// checkDoubt checks now, if what was found may have changed. An error is that of ctx.
func (p *Preflight) checkDoubt(ctx context.Context) error {
	if !p.doubtful() {
		return nil
	}
	select {
	case <-p.turn:
		defer func() { p.turn <- struct{}{} }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !p.doubtful() {
		return nil // another one checked meanwhile
	}
	f := p.check(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.note(f)
	p.mu.Lock()
	p.doubted = false // a run may start: the next 404, or the next check, says so again
	p.mu.Unlock()
	return nil
}

// findings are what one try found.
type findings struct {
	known     []string // what is as it should be
	unchecked []string // and why
	warnings  []string
	read      bool  // the trigger of the version that is live here was read
	groups    error // it puts several leads into one run
	again     bool  // nothing can be started now, which may change
	away      error // the API did not answer: it is tried again
}

func (f *findings) summary() string {
	parts := append(append([]string{}, f.known...), f.warnings...)
	if len(f.unchecked) > 0 {
		parts = append(parts, "not checked: "+strings.Join(f.unchecked, ", "))
	}
	if len(parts) == 0 {
		return "preflight found nothing"
	}
	return "preflight found: " + strings.Join(parts, "; ")
}

// news is what is to be said of what was found, each thing once. The lock is held.
func (p *Preflight) news(f findings) (warnings []string, known string) {
	once := func(text string) bool {
		before := p.said[text]
		p.said[text] = true
		return !before
	}
	for _, warning := range f.warnings {
		if once(warning) {
			warnings = append(warnings, "Preflight: "+warning)
		}
	}
	if len(f.unchecked) > 0 {
		if text := strings.Join(f.unchecked, ", "); once(text) {
			warnings = append(warnings, "Preflight could not check "+text)
		}
	}
	if f.away == nil && f.groups == nil && len(f.known) > 0 {
		if text := strings.Join(f.known, "; "); once(text) {
			known = "Preflight: " + text
		}
	}
	return warnings, known
}

// check is one try.
func (p *Preflight) check(ctx context.Context) (f findings) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	p.checkKey(ctx, &f)
	if f.away == nil {
		p.checkWorkflow(ctx, &f)
	}
	return f
}

// missed notes that something could not be checked.
func (f *findings) missed(what string, err error) {
	switch happyrobot.ClassOf(err) {
	case happyrobot.ClassOutage, happyrobot.ClassSlow, happyrobot.ClassThrottled, happyrobot.ClassNotSent, happyrobot.ClassOther:
		f.away = err
	}
	f.unchecked = append(f.unchecked, fmt.Sprintf("%s (%v)", what, err))
}

func (p *Preflight) checkKey(ctx context.Context, f *findings) {
	key, err := p.s.opts.Asks.DescribeKey(ctx)
	switch {
	case statusOf(err) == http.StatusUnauthorized:
		f.warnings = append(f.warnings, fmt.Sprintf("the key is refused (%v): it is revoked or expired, or of the other cluster", err))
		f.away = err // it may be replaced
	case err != nil:
		f.missed("the key", err)
	default:
		of := "the key is of " + key.OrgName
		if key.OrgName == "" {
			of = "the key is known"
		}
		f.known = append(f.known, of)
		if left := time.Until(key.Expires); !key.Expires.IsZero() && left < expiresSoon {
			f.warnings = append(f.warnings, fmt.Sprintf("the key expires at %s, in %d days; replace it before that, or nothing is started any more",
				key.Expires.UTC().Format(time.RFC3339), max(int(left.Hours())/24, 0)))
		}
	}
}

func (p *Preflight) checkWorkflow(ctx context.Context, f *findings) {
	name, in := p.s.opts.Workflow, p.s.opts.Environment
	workflow, err := p.s.opts.Asks.GetWorkflow(ctx, name)
	switch {
	case happyrobot.IsNotFound(err):
		f.warnings = append(f.warnings, fmt.Sprintf("there is no workflow %s in this workspace and cluster, or the key may not see it: nothing can be started", name))
		f.again = true
		return
	case err != nil:
		f.missed("the workflow, that it is live, and its trigger", err)
		return
	}
	switch live := workflow.LiveIn(in); live {
	case platform.Live:
		f.known = append(f.known, fmt.Sprintf("the workflow is live in %s", in))
	case platform.NotLive:
		f.warnings = append(f.warnings, fmt.Sprintf("no version of the workflow is live: publish one into %s, or nothing can be started", in))
		f.again = true
		return
	default:
		// What another version has for a trigger says nothing of the one that is started.
		f.unchecked = append(f.unchecked, fmt.Sprintf("that a version of the workflow is live in %s, and its trigger (the API tells of another version)", in))
		return
	}
	if workflow.Latest.ID == "" {
		f.unchecked = append(f.unchecked, "the trigger (the API does not say which version is live)")
		return
	}
	nodes, err := p.s.opts.Asks.ListVersionNodes(ctx, workflow.Latest.ID)
	if err != nil {
		f.missed("the trigger", err)
		return
	}
	trigger, found := platform.FindTrigger(nodes)
	f.read = found
	switch {
	case !found:
		f.unchecked = append(f.unchecked, "the trigger (no node is the only one without a parent)")
	case trigger.Groups():
		f.groups = errors.New("the trigger puts several leads into one run, since its multi_event_behavior is group: set it to parallel or sequential, and publish the workflow again")
	default:
		if trigger.MultiEvent == "" {
			f.unchecked = append(f.unchecked, "what the trigger does with several leads (the API does not say; it must not be group)")
		}
		f.known = append(f.known, "its trigger is known")
	}
	if found && trigger.PersistentID != "" {
		p.s.opts.Shared.trigger.Store(&trigger.PersistentID)
	}
}

func statusOf(err error) int {
	var e *happyrobot.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// Guard lets nothing start while the trigger puts several leads into one run.
func (p *Preflight) Guard() dialer.Guard { return preflightGuard{p} }

type preflightGuard struct{ *Preflight }

func (g preflightGuard) Check(time.Time, *dialer.Call) dialer.Verdict {
	if why := g.mayNot(); why != nil {
		return dialer.Verdict{Ruling: dialer.Pause, Cause: dialer.Setup, Why: why}
	}
	return dialer.Verdict{}
}

// LookUp implements dialer.Guard: what is in doubt is checked.
func (g preflightGuard) LookUp(ctx context.Context, now time.Time, calls []*dialer.Call) ([]dialer.Verdict, error) {
	if err := g.checkDoubt(ctx); err != nil {
		return nil, err
	}
	if g.Check(now, nil).Ruling == dialer.Allow {
		return nil, nil
	}
	verdicts := make([]dialer.Verdict, len(calls))
	for i := range verdicts {
		verdicts[i] = g.Check(now, calls[i])
	}
	return verdicts, nil
}

func (preflightGuard) Reserve(context.Context, time.Time, []*dialer.Call) ([]dialer.Verdict, error) {
	return nil, nil
}

func (preflightGuard) Commit(context.Context, []*dialer.Call)  {}
func (preflightGuard) Release(context.Context, []*dialer.Call) {}
