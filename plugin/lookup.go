package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/Jeffail/gabs/v2"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

const ( // lu: lookup
	luFieldWait         = "wait"
	luFieldWaitTimeout  = "wait_timeout"
	luFieldPollInterval = "poll_interval"
	luFieldCache        = "cache"
	luFieldParallelism  = "parallelism"
)

// What a lookup waits for.
const (
	waitNone       = "none"
	waitFinished   = "finished"
	waitTranscript = "transcript"
)

// waitFields say what is waited for, and what is kept, of a call or a run.
func waitFields(one string, waits map[string]string) []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringAnnotatedEnumField(luFieldWait, waits).
			Description("What to wait for. While it waits, the whole batch waits, so give the pipeline threads.").
			Default(waitNone),
		service.NewDurationField(luFieldWaitTimeout).
			Description("The longest wait.").
			Default("30m"),
		service.NewDurationField(luFieldPollInterval).
			Description("The time after which a " + one + " that is waited for is read again.").
			Default("10s"),
		service.NewStringField(luFieldCache).
			Description("The label of a `cache` resource that keeps finished " + one + "s, so that each is read once. Recordings are never kept, since their URLs expire.").
			Default(""),
	}
}

func parallelismField() *service.ConfigField {
	return service.NewIntField(luFieldParallelism).
		Description("The most requests for one batch at the same time.").
		Default(16).
		LintRule(`root = if this < 1 { [ "` + "`parallelism`" + ` must be at least 1" ] }`)
}

// enrichment is what was found under an id. The result is shared by all messages that
// ask for it, and is not to be changed.
type enrichment struct {
	outcome string
	reason  string
	result  *gabs.Container // an object; nil when nothing was found
	err     error
}

// lookedUp is what a lookup reads: calls or runs.
type lookedUp interface {
	// read reads what stays as it is once it is over, and says whether that is all there.
	read(ctx context.Context, id string) (result *gabs.Container, complete bool, err error)
	// refresh adds what expires, and so is read each time.
	refresh(ctx context.Context, id string, result *gabs.Container) error
	// over says whether nothing more happens to what was read.
	over(result *gabs.Container) bool
	// missing says what is not there yet, as in "the transcript is".
	missing(result *gabs.Container) string
	// key names an id in the cache; usable says whether what is kept there can be used,
	// and brings it up to date.
	key(id string) string
	usable(result *gabs.Container, id string) bool
}

// lookup reads what is asked for, once for all who ask, and waits for it.
type lookup struct {
	of          lookedUp
	wait        string
	waitTimeout time.Duration
	poll        time.Duration
	parallelism int

	cache   store.Store   // of what is over; nil for none
	trouble *pause.Notice // with the cache
	flights flights
}

// fromParsed reads the fields of waitFields and parallelismField.
func (l *lookup) fromParsed(conf *service.ParsedConfig, res *service.Resources, one string, waits ...string) (err error) {
	l.flights.running = map[string]*flight{}
	l.trouble = cacheTrouble(res.Logger(), one)
	if l.wait, err = choice(conf, luFieldWait, waits...); err != nil {
		return err
	}
	if l.waitTimeout, err = positiveDuration(conf, luFieldWaitTimeout); err != nil {
		return err
	}
	if l.poll, err = positiveDuration(conf, luFieldPollInterval); err != nil {
		return err
	}
	if l.parallelism, err = conf.FieldInt(luFieldParallelism); err != nil {
		return err
	}
	if l.parallelism < 1 {
		return fmt.Errorf("%s: must be at least 1", luFieldParallelism)
	}
	label, err := conf.FieldString(luFieldCache)
	if err != nil || label == "" {
		return err
	}
	if !res.HasCache(label) {
		return fmt.Errorf("%s: no cache resource is labelled %q", luFieldCache, label)
	}
	l.cache = cacheResource{res: res, label: label}
	return nil
}

// cacheTrouble reports a cache that fails, which costs requests, not messages.
func cacheTrouble(log pause.Logger, one string) *pause.Notice {
	return pause.NewNotice(log, pause.Wording{
		Begins: "Finished-" + one + " cache unavailable; " + one + "s are read from the API: %v",
		Lasts:  "Finished-" + one + " cache still unavailable, since %s; " + one + "s are read from the API: %v",
		Ends:   "Finished-" + one + " cache available again after %v.",
	}, nil)
}

// close ends what the lookup reports by itself.
func (l *lookup) close() { l.trouble.Stop() }

// findAll looks several ids up side by side. Batches that run at the same time share the
// reading of one.
func (l *lookup) findAll(ctx context.Context, ids []string) map[string]*enrichment {
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, l.parallelism)
	found := make(map[string]*enrichment, len(ids))
	for _, id := range ids {
		wg.Go(func() {
			e := l.flights.do(ctx, id, func() *enrichment { return l.find(ctx, slots, id) })
			mu.Lock()
			found[id] = e
			mu.Unlock()
		})
	}
	wg.Wait()
	return found
}

// find looks an id up, waiting as configured. A slot is held during requests, not during
// waits.
func (l *lookup) find(ctx context.Context, slots chan struct{}, id string) *enrichment {
	deadline := time.Now().Add(l.waitTimeout)
	for {
		e := l.once(ctx, slots, id)
		if e.outcome != words.NotReady || l.wait == waitNone || l.wait == waitFinished && l.of.over(e.result) || ctx.Err() != nil {
			return e
		}
		left := time.Until(deadline)
		if left <= 0 {
			e.reason, e.err = words.NotReady, fmt.Errorf("after %v %s still missing", l.waitTimeout, l.of.missing(e.result))
			return e
		}
		if pause.Sleep(ctx, min(l.poll, left)) != nil {
			return e
		}
	}
}

func (l *lookup) once(ctx context.Context, slots chan struct{}, id string) *enrichment {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return &enrichment{outcome: words.Rejected, err: ctx.Err()}
	}
	result, complete := l.kept(ctx, id)
	if !complete {
		var err error
		if result, complete, err = l.of.read(ctx, id); err != nil {
			return failedLookup(err)
		}
		if complete {
			l.keep(ctx, id, result)
		}
	}
	if err := l.of.refresh(ctx, id, result); err != nil {
		return failedLookup(err)
	}
	if !complete {
		return &enrichment{outcome: words.NotReady, result: result}
	}
	return &enrichment{outcome: words.Complete, result: result}
}

func failedLookup(err error) *enrichment {
	if happyrobot.IsNotFound(err) {
		return &enrichment{outcome: words.NotFound, reason: words.NotFound, err: err}
	}
	if happyrobot.IsUnreadable(err) {
		return &enrichment{outcome: words.Rejected, reason: words.Unreadable, err: err}
	}
	return &enrichment{outcome: words.Rejected, reason: words.Refused, err: err}
}

// kept gets what is over from the cache.
func (l *lookup) kept(ctx context.Context, id string) (*gabs.Container, bool) {
	if l.cache == nil {
		return nil, false
	}
	value, err := l.cache.Get(ctx, l.of.key(id))
	if !errors.Is(err, store.ErrNotFound) {
		l.noteCache(ctx, err)
	}
	if err != nil {
		return nil, false
	}
	result, err := jsonObject(value)
	if err != nil || !l.of.usable(result, id) {
		return nil, false
	}
	return result, true
}

func (l *lookup) keep(ctx context.Context, id string, result *gabs.Container) {
	if l.cache == nil {
		return
	}
	l.noteCache(ctx, l.cache.Set(ctx, l.of.key(id), result.Bytes(), nil))
}

func (l *lookup) noteCache(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil: // the pipeline stops
	case err == nil:
		l.trouble.Recovered()
	default:
		l.trouble.Trouble(err)
	}
}

// isOf reports whether a member with an id names what was asked for, or nothing.
func isOf(member *gabs.Container, id string) bool {
	value := member.Data()
	return value == nil || value == "" || value == id
}

// flights lets batches that run side by side share the reading of one id.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
}

type flight struct {
	landed chan struct{}
	result *enrichment // nil when the reader was stopped
}

func (f *flights) do(ctx context.Context, id string, read func() *enrichment) *enrichment {
	for {
		f.mu.Lock()
		other := f.running[id]
		if other == nil {
			own := &flight{landed: make(chan struct{})}
			f.running[id] = own
			f.mu.Unlock()
			result := read()
			if ctx.Err() == nil {
				own.result = result
			}
			f.mu.Lock()
			delete(f.running, id)
			f.mu.Unlock()
			close(own.landed)
			return result
		}
		f.mu.Unlock()
		select {
		case <-other.landed:
			if other.result != nil {
				return other.result
			}
		case <-ctx.Done():
			return &enrichment{outcome: words.Rejected, err: errors.New("stopped")}
		}
	}
}
