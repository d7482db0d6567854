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
	// againAfter is how soon a workflow that must not be started is looked at again.
	againAfter = 30 * time.Second
)

// Preflight checks, before the first run is started, what can be checked: the key, the
// workflow, that it is live, and its trigger. What the API does not answer is checked again
// until it does; no run waits for that, but for the first try.
type Preflight struct {
	s       *Starter
	timeout time.Duration
	settle  time.Duration
	log     pause.Logger
	grouped *pause.Notice

	begin sync.Once
	stop  context.CancelFunc // nil: it was not started
	ended chan struct{}
	first chan struct{} // closed: the first try is over

	mu      sync.Mutex
	summary string
	groups  error           // why nothing may be started
	said    map[string]bool // of run alone
}

// NewPreflight makes the preflight of a starter. It takes a timeout at most for one try, and
// looks at the first run that was started once it has settled. grouped reports that nothing
// may be started.
func (s *Starter) NewPreflight(timeout, settle time.Duration, log pause.Logger, grouped *pause.Notice) *Preflight {
	p := &Preflight{
		s: s, timeout: timeout, settle: settle, log: log, grouped: grouped, said: map[string]bool{},
		ended: make(chan struct{}), first: make(chan struct{}), summary: "preflight is not over",
	}
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
	p.checkAll(ctx)
	if ctx.Err() == nil {
		p.lookForColumn(ctx)
	}
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

// checkAll checks until all is answered.
func (p *Preflight) checkAll(ctx context.Context) {
	waiter := p.grouped.Waiter()
	defer func() { waiter.Stop() }()
	between := pause.NewGrowing(p.s.opts.InitialInterval, p.s.opts.MaxInterval)
	for first := true; ; first = false {
		f := p.check(ctx)
		if ctx.Err() != nil {
			return
		}
		p.mu.Lock()
		p.summary, p.groups = f.summary(), f.groups
		p.mu.Unlock()
		p.say(f)
		if f.groups != nil {
			waiter.Trouble(f.groups)
		} else {
			waiter.Recovered()
			waiter = p.grouped.Waiter()
		}
		if first {
			close(p.first)
		}
		wait := againAfter
		switch {
		case f.groups != nil:
		case f.away == nil:
			return
		default:
			wait = between.Next()
		}
		if pause.Sleep(ctx, wait) != nil {
			return
		}
	}
}

// findings are what one try found.
type findings struct {
	known     []string // what is as it should be
	unchecked []string // and why
	warnings  []string
	groups    error // the trigger puts several leads into one run
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

// say logs what was found, each thing once.
func (p *Preflight) say(f findings) {
	once := func(text string) bool {
		before := p.said[text]
		p.said[text] = true
		return !before
	}
	for _, warning := range f.warnings {
		if once(warning) {
			p.log.Warnf("Preflight: %s.", warning)
		}
	}
	if len(f.unchecked) > 0 {
		if text := strings.Join(f.unchecked, ", "); once(text) {
			p.log.Warnf("Preflight could not check %s.", text)
		}
	}
	if f.away == nil && f.groups == nil && len(f.known) > 0 {
		if text := strings.Join(f.known, "; "); once(text) {
			p.log.Infof("Preflight: %s.", text)
		}
	}
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
		return
	case err != nil:
		f.missed("the workflow, that it is live, and its trigger", err)
		return
	}
	live := workflow.LiveIn(in)
	switch live {
	case platform.Live:
		f.known = append(f.known, fmt.Sprintf("the workflow is live in %s", in))
	case platform.NotLive:
		f.warnings = append(f.warnings, fmt.Sprintf("no version of the workflow is live: publish one into %s, or nothing can be started", in))
	default:
		f.unchecked = append(f.unchecked, fmt.Sprintf("that a version of the workflow is live in %s (the API tells of another one)", in))
	}
	if workflow.Latest == nil || workflow.Latest.ID == "" {
		f.unchecked = append(f.unchecked, "the trigger (the workflow has no version)")
		return
	}
	nodes, err := p.s.opts.Asks.ListVersionNodes(ctx, workflow.Latest.ID)
	if err != nil {
		f.missed("the trigger", err)
		return
	}
	trigger, found := platform.FindTrigger(nodes)
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

func (preflightGuard) LookUp(context.Context, time.Time, []*dialer.Call) ([]dialer.Verdict, error) {
	return nil, nil
}

func (preflightGuard) Reserve(context.Context, time.Time, []*dialer.Call) ([]dialer.Verdict, error) {
	return nil, nil
}

func (preflightGuard) Commit(context.Context, []*dialer.Call)  {}
func (preflightGuard) Release(context.Context, []*dialer.Call) {}
