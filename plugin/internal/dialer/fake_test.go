package dialer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

const (
	timeout = 30 * time.Second
	settle  = 20 * time.Second
	window  = 168 * time.Hour
)

// answer is what the fake API makes of one dial request. The zero value creates
// all calls and says so.
type answer struct {
	takes     time.Duration
	creates   func(*Call) bool // nil: all
	err       error            // told instead of the calls created
	omits     func(*Call) bool // created, but not in the reply
	listedIn  time.Duration
	dropsEcho bool // from the reply and the list
	dropsTime bool // likewise
	dropsID   bool // likewise

	clockBehind time.Duration
}

// post is a dial request as the API saw it.
type post struct {
	at    time.Time
	calls []*Call
}

type placed struct {
	PlacedCall
	ref    string // ground truth, echoed or not
	listed time.Time
}

// fakeAPI is the API in memory, on the time of a synctest bubble.
type fakeAPI struct {
	onPost func(n int, calls []*Call) answer // n counts from 1; nil: all is well
	onList func(n int) error

	listTakes time.Duration
	clock     func() time.Duration // the API's clock less ours; nil: it is right
	pages     int                  // requests for lists, of a thousand calls each

	mu     sync.Mutex
	posts  []post
	listed []time.Time
	placed []placed
}

func (f *fakeAPI) Place(ctx context.Context, calls []*Call) ([]PlacedCall, error) {
	f.mu.Lock()
	f.posts = append(f.posts, post{at: time.Now(), calls: slices.Clone(calls)})
	n := len(f.posts)
	f.mu.Unlock()
	var a answer
	if f.onPost != nil {
		a = f.onPost(n, calls)
	}
	created := f.create(calls, a)
	select {
	case <-time.After(a.takes):
	case <-ctx.Done():
		return nil, &happyrobot.Error{Op: "dial", Err: ctx.Err()}
	}
	if a.err != nil {
		return nil, a.err
	}
	return created, nil
}

func (f *fakeAPI) create(calls []*Call, a answer) (reply []PlacedCall) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range calls {
		if a.creates != nil && !a.creates(c) {
			continue
		}
		call := PlacedCall{ID: fmt.Sprintf("call-%d", len(f.placed)+1), Ref: c.Ref, Number: c.Number, Created: f.now().Add(-a.clockBehind)}
		if a.dropsEcho {
			call.Ref = ""
		}
		if a.dropsTime {
			call.Created = time.Time{}
		}
		if a.dropsID {
			call.ID = ""
		}
		f.placed = append(f.placed, placed{PlacedCall: call, ref: c.Ref, listed: time.Now().Add(a.takes + a.listedIn)})
		if a.omits == nil || !a.omits(c) {
			reply = append(reply, call)
		}
	}
	slices.Reverse(reply) // the order is nobody's promise
	return reply
}

func (f *fakeAPI) now() time.Time {
	if f.clock == nil {
		return time.Now()
	}
	return time.Now().Add(f.clock())
}

// newest is what the newest call that is listed says of the API's clock.
func (f *fakeAPI) newest() (newest time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pages++
	for _, p := range f.placed {
		if !p.listed.After(time.Now()) && p.Created.After(newest) {
			newest = p.Created
		}
	}
	return newest
}

func (f *fakeAPI) List(ctx context.Context, want Listing) iter.Seq2[PlacedCall, error] {
	return func(yield func(PlacedCall, error) bool) {
		since := want.From(f.newest())
		f.mu.Lock()
		f.listed = append(f.listed, time.Now())
		n, all := len(f.listed), slices.Clone(f.placed)
		f.mu.Unlock()
		err := pause.Sleep(ctx, f.listTakes)
		if err == nil && f.onList != nil {
			err = f.onList(n)
		}
		if err != nil {
			yield(PlacedCall{}, err)
			return
		}
		given := 0
		defer func() {
			f.mu.Lock()
			f.pages += given/1000 + 2 // the last is empty
			f.mu.Unlock()
		}()
		for _, p := range all {
			if (!p.Created.IsZero() && p.Created.Before(since)) || p.listed.After(time.Now()) {
				continue
			}
			given++
			if !yield(p.PlacedCall, nil) {
				return
			}
		}
	}
}

func (f *fakeAPI) requests() []post {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.posts)
}

func (f *fakeAPI) lists() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.listed)
}

// idsOf tells the calls really placed for a lead.
func (f *fakeAPI) idsOf(c Call) (ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.placed {
		if p.ref == c.Ref {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

func (f *fakeAPI) callsOf(c Call) int { return len(f.idsOf(c)) }

func status(code int) error { return &happyrobot.Error{Op: "dial", Status: code} }

// lost is a request that left and was never answered.
var lost = &happyrobot.Error{Op: "dial", Err: errors.New("connection reset")}

// neverSent is a request that certainly did not leave.
func neverSent(t *testing.T) error {
	t.Helper()
	client, err := happyrobot.New(happyrobot.Options{APIKey: "key", Wait: func(context.Context) error { return errors.New("no") }})
	require.NoError(t, err)
	_, err = client.CreateOutboundCalls(t.Context(), nil)
	var e *happyrobot.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, happyrobot.ClassNotSent, e.Class())
	return e
}

// first gives the answers in turn, and then all is well.
func first(answers ...answer) func(int, []*Call) answer {
	return func(n int, _ []*Call) answer {
		if n > len(answers) {
			return answer{}
		}
		return answers[n-1]
	}
}

func none(*Call) bool { return false }

func newCall(key, number string) Call {
	body := fmt.Appendf(nil, `{"phone_number":%q}`, number)
	c := Call{Number: number, Body: body}
	c.Key, c.Fingerprint = Identify(key, body)
	c.Ref = c.Key
	return c
}

func lead(t *testing.T, n int) Call {
	t.Helper()
	return newCall(fmt.Sprintf("lead-%d", n), fmt.Sprintf("+1202555%04d", n))
}

func leads(t *testing.T, count int) []Call {
	t.Helper()
	calls := make([]Call, count)
	for i := range calls {
		calls[i] = lead(t, i+1)
	}
	return calls
}

func open(t *testing.T, api API, mem store.Store, change ...func(*Options)) *Dialer {
	t.Helper()
	opts := Options{
		Timeout: timeout, Settle: settle, Window: window, OnUnknown: Hold, MaxRedials: 3, MaxCallsPerRequest: 20,
		InitialInterval: 500 * time.Millisecond, MaxInterval: 30 * time.Second,
	}
	for _, c := range change {
		c(&opts)
	}
	ledgerOpts := ledger.Options{
		Window: opts.Window, Lease: opts.Timeout + opts.Settle,
		InitialInterval: opts.InitialInterval, MaxInterval: opts.MaxInterval,
	}
	if b, ok := mem.(store.Batcher); ok {
		ledgerOpts.Batch = b
	}
	l, err := ledger.New(mem, ledgerOpts)
	require.NoError(t, err)
	return New(api, l, opts)
}

// batching is a store that writes many records at once as well.
type batching struct{ store.Store }

func (b batching) AddAll(ctx context.Context, items []store.Item) []error {
	errs := make([]error, len(items))
	for i, item := range items {
		errs[i] = b.Add(ctx, item.Key, item.Value, item.TTL)
	}
	return errs
}

func (b batching) SetAll(ctx context.Context, items []store.Item) error {
	for _, item := range items {
		if err := b.Set(ctx, item.Key, item.Value, item.TTL); err != nil {
			return err
		}
	}
	return nil
}

// bounded is a context that outlasts every wait that a test means. A Dial that waits for
// ever would otherwise let the clock of its bubble run on, and the package never end.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, window)
}

// dial decides every call.
func dial(t *testing.T, d *Dialer, calls ...Call) []Result {
	t.Helper()
	ctx, cancel := bounded(t.Context())
	defer cancel()
	results, err := d.Dial(ctx, calls)
	require.NoError(t, err, "every call is decided")
	require.Len(t, results, len(calls))
	return results
}

func outcomes(results []Result) []Outcome {
	all := make([]Outcome, len(results))
	for i, r := range results {
		all[i] = r.Outcome
	}
	return all
}

// reports is what a dialer's notices say.
type reports struct {
	mu      sync.Mutex
	lines   []string
	notices map[Cause]*pause.Notice
}

func (r *reports) to(o *Options) {
	r.notices = map[Cause]*pause.Notice{}
	o.Notice, o.LookUps = r.notice, r.notice("look_ups")
}

func (r *reports) notice(c Cause) *pause.Notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.notices[c]
	if n == nil {
		n = pause.NewNotice(r, pause.Wording{Begins: string(c) + " begins: %v", Lasts: string(c) + " lasts since %s: %v", Ends: string(c) + " ends after %v"}, nil)
		r.notices[c] = n
	}
	return n
}

func (r *reports) Warnf(format string, args ...any) { r.add(format, args...) }
func (r *reports) Infof(format string, args ...any) { r.add(format, args...) }

func (r *reports) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// said are the lines that begin so.
func (r *reports) said(prefix string) (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range r.lines {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, line)
		}
	}
	return lines
}

func redial(o *Options) { o.OnUnknown = RedialAbsent }

func assertOneCallEach(t *testing.T, api *fakeAPI, calls []Call) {
	t.Helper()
	for i, c := range calls {
		assert.Equal(t, 1, api.callsOf(c), "calls of lead %d", i)
	}
}

var tooMany = &happyrobot.Error{Op: "dial", Status: http.StatusTooManyRequests, RetryAfter: time.Minute}
