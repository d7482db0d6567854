package dialer

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// API is what a dialer needs of the HappyRobot client.
type API interface {
	// CreateEncodedCalls makes exactly one request.
	CreateEncodedCalls(context.Context, []happyrobot.EncodedCall) ([]happyrobot.CreatedCall, error)
	ListCalls(context.Context, happyrobot.ListCallsQuery) iter.Seq2[happyrobot.Call, error]
}

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
	MaxCallsPerRequest int

	// Pauses while the API is in trouble. MaxElapsedTime 0 waits for ever; else
	// calls that could not be sent by then are rejected.
	InitialInterval, MaxInterval, MaxElapsedTime time.Duration

	Wait func(context.Context) error // a rate limit, asked before each request; nil for none

	// Notice gives the notice that reports pauses of a cause, always the same one. Nil
	// reports none. LookUps reports that calls of unknown outcome cannot be looked up.
	Notice  func(Cause) *pause.Notice
	LookUps *pause.Notice

	OnEchoMissing    func() // once: a reply did not carry our reference
	OnPartialRefusal func() // once: a refused request had created calls all the same
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

	echoMissing     atomic.Bool // a reply came back without our reference: lists prove nothing
	partialRefusals atomic.Bool // a refusal does not mean that nothing was created
	wholeRefusals   sync.Map    // statuses that were seen to mean it: int to nothing
}

// New makes a dialer.
func New(api API, l *ledger.Ledger, opts Options) *Dialer {
	return &Dialer{api: api, ledger: l, opts: opts, gate: newGate(opts)}
}

// job is one call on its way through the rounds.
type job struct {
	call   *Call
	result Result
	claim  ledger.Claim

	doubt    ledger.Standing // somebody's attempt in doubt, to be reconciled
	ruledOut int             // attempts up to this number created no call
	seenAt   time.Time       // when a doubt without a readable time was first seen
	blind    bool            // the API lists a call to this number without a reference

	lookAgain time.Time // somebody else is dialing it: ask the ledger then
	patience  time.Duration
}

// Dial places calls and says what became of each, in the order given. It returns
// an error only when ctx ends: calls without an outcome are then undecided. A
// request that has left is waited for and recorded even so.
func (d *Dialer) Dial(ctx context.Context, calls []Call) ([]Result, error) {
	jobs := make([]*job, len(calls))
	for i := range calls {
		jobs[i] = &job{call: &calls[i]}
	}
	run := run{Dialer: d, ctx: ctx}
	if d.opts.MaxElapsedTime > 0 {
		run.giveUp = time.Now().Add(d.opts.MaxElapsedTime)
	}
	err := run.all(jobs)
	results := make([]Result, len(jobs))
	for i, j := range jobs {
		results[i] = j.result
	}
	return results, err
}

// run is one Dial.
type run struct {
	*Dialer
	ctx    context.Context
	giveUp time.Time // zero: never
}

func (r *run) all(jobs []*job) error {
	var queue [][]*job
	for _, wave := range waves(jobs) {
		queue = slices.AppendSeq(queue, slices.Chunk(wave, max(1, r.opts.MaxCallsPerRequest)))
	}
	for len(queue) > 0 {
		group := queue[0]
		if r.gaveUp() {
			for _, group := range queue {
				for _, j := range group {
					if !j.lookAgain.IsZero() || j.ruledOut > 0 { // dialed by somebody, or by us before
						j.result = r.held()
						continue
					}
					j.result = Fail(Rejected, ReasonGaveUp, fmt.Errorf("not sent within %v", r.opts.MaxElapsedTime))
				}
			}
			return nil
		}
		next, err := r.round(group)
		if err != nil {
			return err
		}
		queue = slices.Concat(next.now, queue[1:])
		if len(next.later) > 0 {
			queue = append(queue, next.later)
		}
	}
	return nil
}

// waves splits jobs so that none holds a call twice: the first of equal calls is
// dialed first, and the others find it in the ledger.
func waves(jobs []*job) (split [][]*job) {
	seen := make(map[string]int, len(jobs))
	for _, j := range jobs {
		wave := seen[j.call.Ref]
		seen[j.call.Ref]++
		if wave == len(split) {
			split = append(split, nil)
		}
		split[wave] = append(split[wave], j)
	}
	return split
}

func (r *run) gaveUp() bool {
	return !r.giveUp.IsZero() && !time.Now().Before(r.giveUp)
}

// afterwards is for what must be finished once a request has left: it outlives
// ctx by one timeout, so that a shutdown records what was dialed, but ends.
func (r *run) afterwards() (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(r.ctx))
	stop := context.AfterFunc(r.ctx, func() {
		timer := time.NewTimer(r.opts.Timeout)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}
