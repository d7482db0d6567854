package dialer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// OnUnknown says what to do with a call that may have been placed and is not
// among the calls that the API lists.
type OnUnknown string

// Choices for OnUnknown.
const (
	Hold         OnUnknown = "hold"          // fail it: never twice
	RedialAbsent OnUnknown = "redial_absent" // trust the list and dial again
)

// Options of a Dialer.
type Options struct {
	Timeout            time.Duration // of one dial request, counted from the claim
	Settle             time.Duration // until a created call is sure to be listed
	Window             time.Duration // the ledger's memory
	OnUnknown          OnUnknown
	MaxRedials         int // how often RedialAbsent sends a call again, see mayRedial
	MaxCallsPerRequest int

	// Pauses while the API is in trouble. MaxElapsedTime 0 waits for ever; else
	// calls that could not be sent by then are rejected.
	InitialInterval, MaxInterval, MaxElapsedTime time.Duration

	// Shared is what all dialers of the API and key have in common; nil is nothing.
	Shared *Shared

	Wait func(context.Context) error // a rate limit, asked before each request; nil for none
	// LookAgain is how soon after the first look a call in doubt is looked for again, if it
	// was not listed; each wait after that is twice as long. 0 is InitialInterval.
	LookAgain time.Duration
	// ListLimit names the rate limit that listings wait for: who has another one lists by
	// itself. "" is none.
	ListLimit string
	Calls     *CallLimit // of calls that are about to be claimed; nil for none
	Guards    []Guard    // asked in this order; nil allows every call
	DryRun    bool       // ask the guards only: the outcome of every call is DryRun

	MaxRejectsInARow int // calls that come rejected before the stream pauses; 0 for any number

	Wording Wording // of errors; the zero Wording is that of calls

	// Notice gives the notice that reports pauses of a cause, always the same one. Nil
	// reports none. LookUps reports that calls of unknown outcome cannot be looked up.
	Notice  func(Cause) *pause.Notice
	LookUps *pause.Notice

	OnEchoMissing    func()                   // once: a reply did not carry our reference
	OnClock          func(skew time.Duration) // after each dial: the API's clock less ours
	OnPartialRefusal func()                   // once: a refused request had created calls all the same
}

// Wording is what the API makes of a lead, for errors.
type Wording struct {
	Call   string // "call"
	Placed string // "placed"
	Dialed string // "dialed"
}

func (o *Options) words() Wording {
	if o.Wording == (Wording{}) {
		return Wording{Call: "call", Placed: "placed", Dialed: "dialed"}
	}
	return o.Wording
}

func (o *Options) notice(c Cause) *pause.Notice {
	if o.Notice == nil {
		return nil
	}
	return o.Notice(c)
}

// Dialer places calls once each. Safe for concurrent use.
type Dialer struct {
	api    API
	ledger *ledger.Ledger
	opts   Options
	gate   *gate
	shared *Shared
	brake  *brake

	permits *permits // nil: calls need none
	tally   tally
	looked  atomic.Int64 // calls that are being looked up

	echoMissing     atomic.Bool  // a reply came back without our reference: lists prove nothing
	partialRefusals atomic.Bool  // a refusal does not mean that nothing was created
	wholeRefusals   sync.Map     // statuses that were seen to mean it: int to nothing
	tookCalls       atomic.Int64 // when the API last said that it took calls, in Unix nanoseconds
}

// New makes a dialer.
func New(api API, l *ledger.Ledger, opts Options) *Dialer {
	if opts.Shared == nil {
		opts.Shared = &Shared{}
	}
	d := &Dialer{api: api, ledger: l, opts: opts, gate: newGate(opts), brake: newBrake(opts), shared: opts.Shared}
	if opts.Calls != nil {
		d.permits = &permits{limit: *opts.Calls}
	}
	return d
}

// job is one call on its way through the rounds.
type job struct {
	call   *Call
	result Result
	claim  ledger.Claim
	// claimed says that the ledger may have a claim of this process: it was tried, and not
	// given up since.
	claimed bool

	doubt    ledger.Standing // another process's attempt whose outcome is unknown
	ruledOut int             // attempts up to this number created no call
	rulingOn string          // the token of the last of them: numbers are used again
	sent     int             // how often the call was sent, of the attempts that are ruled out

	unmarked    bool // the API lists a call to this number without a reference
	noRef       error
	shown       bool  // the API shows it, without an id that can be read
	notLookedUp bool  // the list could not be read in time
	unlistable  error // why it can never be read; nil: it may be
	tooOften    bool  // it was sent again as often as may be
	tooSlow     bool  // its claim, or a neighbour's, was too old to be dialed on

	asked  bool // the ledger was asked about it before a permit was
	permit bool // it may be placed, as far as the limit of calls goes

	later   *postponement // nil: it was never put off
	verdict *Verdict      // of the guards, when they were last asked; nil: allowed
}

// Dial places calls and says what became of each, in the order given. It returns
// an error only when ctx ends: calls without an outcome are then undecided. A
// request that has left is waited for and recorded even so.
func (d *Dialer) Dial(ctx context.Context, calls []Call) ([]Result, error) {
	return d.DialOn(ctx, calls, Terms{Began: time.Now()})
}

// DialOn is Dial for calls that may be given back: with a *Paused for an error nothing
// became of any of them, and they are to be dialed again.
func (d *Dialer) DialOn(ctx context.Context, calls []Call, terms Terms) ([]Result, error) {
	jobs := make([]*job, len(calls))
	for i := range calls {
		jobs[i] = &job{call: &calls[i]}
	}
	rejected, valid := split(jobs, func(j *job) bool { return j.call.Rejection != nil })
	r := run{Dialer: d, jobs: jobs, terms: terms}
	defer r.uncount()
	if d.opts.MaxElapsedTime > 0 {
		r.giveUp = terms.Began.Add(d.opts.MaxElapsedTime)
	}
	decide := r.all
	if d.opts.DryRun {
		decide = r.dryRun
	}
	err := decide(ctx, valid)
	if err == nil {
		err = r.reject(ctx, rejected)
	}
	results := make([]Result, len(jobs))
	for i, j := range jobs {
		results[i] = j.result
	}
	return results, err
}

// run is one Dial.
type run struct {
	*Dialer
	jobs    []*job
	terms   Terms
	leaveAt time.Time // zero: nothing held this run up yet

	giveUp  time.Time               // zero: never
	waiters map[Cause]*pause.Waiter // for what calls are put off

	// A guard's pause that this run waits for.
	pausedFor    Cause
	pauseWaiter  *pause.Waiter
	pauseBetween *pause.Growing
}

// all brings every job to its end.
func (r *run) all(ctx context.Context, jobs []*job) error {
	defer r.stopWaiting() // where the run gives up, or ctx ends
	var q queue
	for _, wave := range waves(jobs) {
		q.add(wave, r.opts.MaxCallsPerRequest)
	}
	for !q.empty() {
		if r.gaveUp() {
			return r.outOfTime(ctx, q.all())
		}
		group := q.next()
		r.count(group, &q)
		if group == nil {
			if err := r.awaitLater(ctx, &q); err != nil {
				return err
			}
			continue
		}
		next, err := r.round(ctx, group)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(group, func(j *job) bool { return j.result.Outcome == Duplicate }) {
			r.brake.knows()
		}
		q.update(next)
	}
	r.pauseOver()
	return nil
}

// reject decides calls that came rejected: last, so that those of a batch that go through
// count first. While the brake is on for them, they fail one by one, as it says.
func (r *run) reject(ctx context.Context, rejected []*job) error {
	ctx, cancel := r.inTime(ctx)
	defer cancel()
	for i, j := range rejected {
		r.count(rejected[i:], &queue{})
		for fails := r.opts.DryRun; !fails; {
			try, err := r.enterBrake(ctx, false)
			var paused *Paused
			switch {
			case err == nil:
				fails = r.brake.rejects(try, j.call.Rejection.Err)
				r.brake.leave(try)
			case r.gaveUp() && !errors.As(err, &paused):
				fails = true
			default:
				return err
			}
		}
		j.result = *j.call.Rejection
	}
	return nil
}

// outOfTime decides calls that could not be decided in time, as the ledger knows them: a
// message that is delivered again may have been called long ago.
func (r *run) outOfTime(ctx context.Context, jobs []*job) error {
	standings, err := r.standings(ctx, jobs)
	if err != nil {
		return err
	}
	is := r.opts.words()
	for i, j := range jobs {
		switch s := standings[i]; {
		case s.Kind == ledger.Called:
			j.result = j.placedBefore(s)
		case s.Kind == ledger.Busy:
			j.result = Fail(Held, ReasonClaimedElsewhere, fmt.Errorf("%v may have %s the %s; it is not %s again", s.Owner, is.Placed, is.Call, is.Dialed))
		case j.ruledOut > 0 && (s.Kind == ledger.Free || j.hasRuledOut(s)): // an attempt left, and the next could not
			j.result = r.notFound(j)
		case s.Kind == ledger.InDoubt:
			j.doubt, j.notLookedUp = s, true
			j.result = r.notFound(j)
		default:
			j.result = Fail(Rejected, ReasonGaveUp, fmt.Errorf("not sent within %v", r.opts.MaxElapsedTime))
		}
	}
	return nil
}

func (r *run) gaveUp() bool {
	return !r.giveUp.IsZero() && !time.Now().Before(r.giveUp)
}

// afterwards is for what must be recorded of a request that has left: it outlives ctx by
// one timeout, so that a shutdown records what was dialed, but ends.
func (r *run) afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return pause.Afterwards(ctx, r.opts.Timeout)
}

// stopGrace is how long a shutdown waits for the ledger where no request is under way: what
// is not written then leaves a claim in doubt, which is safe.
const stopGrace = time.Second

// shortly is for what had better be recorded, but need not be: it outlives ctx by a second.
func (r *run) shortly(ctx context.Context) (context.Context, context.CancelFunc) {
	return pause.Afterwards(ctx, stopGrace)
}
