package ledger

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// owner names this process in this run, for all its ledgers: two components on
// one exclusive store must not take each other for dead.
var owner = rand.Text()

// claims numbers the claims of this process, so that each has a token of its own.
var claims atomic.Uint64

// Spare is added to a lease before another process' claim is stale: its owner may have
// been delayed between two looks at its own clock.
const Spare = time.Minute

// Options of a Ledger.
type Options struct {
	Window time.Duration // how long a dial is remembered
	// Lease is how long after a claim its owner may still be dialing, and the
	// API still be showing what came of it: a dial's timeout plus settle.
	Lease time.Duration
	// Exclusive says that no other process can be using the store: the owner of a claim
	// that is not ours is dead, and the claim is stale at once. It is asked after a record
	// was read, as another store may take the place of this one. Nil is never.
	Exclusive func() bool
	// Batch writes to the store as well, many records at once. Nil does without. Claims of
	// other processes are respected all the same: it adds as atomically as the store does.
	Batch store.Batcher
	// InitialInterval and MaxInterval space the tries while the store fails.
	InitialInterval, MaxInterval time.Duration
	// Notice reports that the store fails. Nil reports nothing.
	Notice *pause.Notice
}

// Ledger keeps the history of dials in a Store. No ledger, no call: while the
// store fails, every method tries again until its context ends. Safe for
// concurrent use.
type Ledger struct {
	store store.Store
	opts  Options
	seen  sightings
}

// New makes a ledger in a store.
func New(in store.Store, opts Options) (*Ledger, error) {
	if opts.Window <= opts.Lease+Spare {
		return nil, fmt.Errorf("%v is too short: a claim may stay open for %v", opts.Window, opts.Lease+Spare)
	}
	return &Ledger{store: in, opts: opts, seen: sightings{keep: opts.Lease + Spare}}, nil
}

// Claim is this process' right to send one dial request.
type Claim struct {
	dial    Dial
	attempt int
	token   string
	at      time.Time
	sent    int
}

// At is when the claim was made.
func (c Claim) At() time.Time { return c.at }

// Age is how old the claim is, by the clock that says more: the wall clock may have been
// set back, and the monotonic one does not count while the machine sleeps.
func (c Claim) Age() time.Duration {
	now := time.Now()
	return max(now.Sub(c.at), now.Round(0).Sub(c.at.Round(0)))
}

// Attempt is the claim's number in the history of its dial, from 1.
func (c Claim) Attempt() int { return c.attempt }

// Token tells the claim from any other. A number is used again after a release.
func (c Claim) Token() string { return c.token }

// Claim begins the next attempt of a dial that is Free, or says why it cannot: the
// Standing is never Free. With an error, the claim may have been written all the same:
// Abandon it.
func (l *Ledger) Claim(ctx context.Context, d Dial) (Claim, Standing, error) {
	return l.claim(ctx, newClaim(d, 1), false)
}

// claim is Claim with a first claim of which it may be known that there is a record under
// its key: then that is read, and nothing is added.
func (l *Ledger) claim(ctx context.Context, first Claim, exists bool) (Claim, Standing, error) {
	d := first.dial
	for claim := first; ; claim, exists = newClaim(d, 1), false {
		won, there, err := l.begin(ctx, claim, exists)
		if err != nil {
			return claim, Standing{}, err
		}
		if won {
			return claim, Standing{Kind: Claimed}, nil
		}
		standing, err := l.known(ctx, d.Key, there)
		switch {
		case err != nil:
			return Claim{}, Standing{}, err
		case standing.Kind != Free:
			return Claim{}, standing, nil
		case standing.Attempt == 0:
			continue // expired or released since: try again
		}
		next := newClaim(d, standing.Attempt+1) // every earlier attempt is void
		if won, _, err = l.begin(ctx, next, false); err != nil {
			return next, Standing{}, err
		}
		if won {
			standing.Kind = Claimed
			return next, standing, nil
		}
	}
}

// TakeOver begins the attempt after one in doubt. It answers false when the
// history has moved on since; ask Claim again then.
func (l *Ledger) TakeOver(ctx context.Context, d Dial, doubt Standing) (Claim, bool, error) {
	now, err := l.Known(ctx, d.Key)
	if err != nil || now.Kind != InDoubt || now.Attempt != doubt.Attempt || now.Token != doubt.Token {
		return Claim{}, false, err
	}
	c := newClaim(d, doubt.Attempt+1)
	c.sent = doubt.Sent + 1
	won, _, err := l.begin(ctx, c, false)
	if won {
		l.refresh(ctx, d.Key)
	}
	return c, won, err
}

// refresh writes the first record again as it is, so that it does not expire
// while later attempts live: a claim begins by adding the first. Best effort.
func (l *Ledger) refresh(ctx context.Context, dial string) {
	if first, err := l.store.Get(ctx, dial); err == nil {
		_ = l.store.Set(ctx, dial, first, &l.opts.Window)
	}
}

func newClaim(d Dial, attempt int) Claim {
	return Claim{
		dial: d, attempt: attempt,
		token: owner + "-" + strconv.FormatUint(claims.Add(1), 36),
		at:    time.Now(),
		sent:  1,
	}
}

// begin adds the record of an attempt. The token was drawn once, so a cache whose Add
// fails after writing, or collides with its own retried write, is recognized by it: a
// record with our token is our claim. exists says that an Add was answered with
// store.ErrExists just now; there is the record that it met, nil if that is gone.
func (l *Ledger) begin(ctx context.Context, c Claim, exists bool) (won bool, there []byte, err error) {
	name := key(c.dial.Key, c.attempt)
	err = l.until(ctx, func() error {
		there = nil
		addErr := store.ErrExists
		if !exists {
			addErr = l.store.Add(ctx, name, c.record(stateClaimed, "").encode(), &l.opts.Window)
		}
		if won = addErr == nil; won {
			return nil
		}
		// Not only for store.ErrExists: some caches report a duplicate key in
		// the words of their database.
		stored, err := l.store.Get(ctx, name)
		switch {
		case err == nil:
			there = stored
			r, derr := decodeRecord(stored)
			won = derr == nil && r.Token == c.token
			return nil
		case !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("reading ledger: %w", err)
		case errors.Is(addErr, store.ErrExists):
			return nil // it was there and is gone: the caller reads the history again
		default:
			return fmt.Errorf("claiming in ledger: %w", addErr)
		}
	})
	return won, there, err
}

// heal gives the first record the call id that a later attempt brought, so that
// it does not expire before that later record and leave the lead to be called
// again. Best effort: the next reader of the history tries again.
func (l *Ledger) heal(ctx context.Context, dial string, called record) {
	if first, err := l.store.Get(ctx, dial); err == nil {
		if r, err := decodeRecord(first); err == nil && r.State == stateCalled {
			return
		}
	}
	_ = l.store.Set(ctx, dial, called.encode(), &l.opts.Window)
}

// Complete records the call that came of a claim.
func (l *Ledger) Complete(ctx context.Context, c Claim, callID string) error {
	r := c.record(stateCalled, callID)
	if err := l.write(ctx, c.attempt, c.dial.Key, r); err != nil {
		return err
	}
	if c.attempt > 1 {
		return l.write(ctx, 1, c.dial.Key, r)
	}
	return nil
}

// Hold records that a claim's request was sent, and that no more is known of it than f.
func (l *Ledger) Hold(ctx context.Context, c Claim, f Finding) error {
	if c.attempt > 1 {
		l.refresh(ctx, c.dial.Key)
	}
	r := c.record(stateHeld, "")
	r.Refused, r.Shown, r.Uncounted = f.Refused, f.Shown, f.Uncounted
	return l.write(ctx, c.attempt, c.dial.Key, r)
}

// Release gives up a claim that was taken, and whose request certainly created no call.
func (l *Ledger) Release(ctx context.Context, c Claim) error { return l.giveUp(ctx, c, true) }

// Abandon gives up a claim that may or may not have been written, and whose request
// was never sent.
func (l *Ledger) Abandon(ctx context.Context, c Claim) error {
	if c.token == "" {
		return nil
	}
	return l.giveUp(ctx, c, false)
}

// giveUp makes room for the next attempt. Within the lease nobody else can have begun
// it, so the record is deleted; later it stays, as void. known says that the record is
// ours. After a try that failed this is read each time: a delete whose answer was lost
// may have freed the dial for somebody else, whose record must stay.
func (l *Ledger) giveUp(ctx context.Context, c Claim, known bool) error {
	leased, cancel := context.WithTimeout(ctx, l.opts.Lease-c.Age())
	defer cancel()
	known = known && leased.Err() == nil
	return l.until(ctx, func() error {
		if !known {
			if ours, err := l.stillOurs(ctx, c); err != nil || !ours {
				return err
			}
		}
		known = false
		if c.Age() >= l.opts.Lease {
			return l.void(ctx, c)
		}
		if err := l.store.Delete(leased, key(c.dial.Key, c.attempt)); err != nil {
			return fmt.Errorf("releasing in ledger: %w", err)
		}
		return nil
	})
}

// void says of a claim that is past its lease that it came to nothing. Somebody may
// have begun the next attempt by then, and taking ours away would leave a hole in the
// history.
func (l *Ledger) void(ctx context.Context, c Claim) error {
	return wrote(l.store.Set(ctx, key(c.dial.Key, c.attempt), c.record(stateVoid, "").encode(), &l.opts.Window))
}

// stillOurs reads whose a claim's record is.
func (l *Ledger) stillOurs(ctx context.Context, c Claim) (bool, error) {
	stored, err := l.store.Get(ctx, key(c.dial.Key, c.attempt))
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading ledger: %w", err)
	}
	r, err := decodeRecord(stored)
	return err == nil && r.Token == c.token, nil
}

func (l *Ledger) read(ctx context.Context, key string) (value []byte, exists bool, err error) {
	err = l.until(ctx, func() error {
		value, err = l.store.Get(ctx, key)
		if exists = err == nil; exists || errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return fmt.Errorf("reading ledger: %w", err)
	})
	return value, exists, err
}

func (l *Ledger) write(ctx context.Context, attempt int, dial string, r record) error {
	return l.until(ctx, func() error { return wrote(l.store.Set(ctx, key(dial, attempt), r.encode(), &l.opts.Window)) })
}

func wrote(err error) error {
	if err != nil {
		return fmt.Errorf("writing ledger: %w", err)
	}
	return nil
}

// silence is how long an operation may take before that is reported: a store that hangs
// gives no error for long.
const silence = 5 * time.Second

var errSilent = errors.New("the ledger does not answer")

// until repeats a store operation until it succeeds or ctx ends. All operations share one
// notice, so the trouble of a batch is reported once.
func (l *Ledger) until(ctx context.Context, op func() error) error {
	waiter := l.opts.Notice.Waiter()
	if _, memory := l.store.(*Memory); waiter != nil && !memory {
		began := time.Now()
		late := time.AfterFunc(silence, func() { waiter.Silence(began, errSilent) })
		defer late.Stop()
	}
	err := op()
	for between := (*pause.Growing)(nil); err != nil; err = op() {
		if ctx.Err() == nil {
			waiter.Trouble(err)
			if between == nil {
				between = pause.NewGrowing(l.opts.InitialInterval, l.opts.MaxInterval)
			}
			_ = pause.Sleep(ctx, between.Next())
		}
		if ctx.Err() != nil {
			waiter.Stop()
			return fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
		}
	}
	if pause.Stopping(ctx) {
		waiter.Stop() // nothing resumes
	} else {
		waiter.Recovered()
	}
	return nil
}

func (c Claim) record(s state, callID string) record {
	r := record{Version: recordVersion, State: s, Token: c.token, Fingerprint: c.dial.Fingerprint, At: c.at, CallID: callID}
	if c.dial.Ref != c.dial.Key {
		r.Ref = c.dial.Ref // else as records were before there was a salt
	}
	if c.attempt > 1 {
		r.Sent = c.sent
	}
	return r
}
