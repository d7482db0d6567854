package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/Jeffail/gabs/v2"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

const ( // cl: call lookup
	clFieldWait         = "wait"
	clFieldWaitTimeout  = "wait_timeout"
	clFieldPollInterval = "poll_interval"
	clFieldCache        = "cache"
)

// What a lookup waits for.
const (
	waitNone       = "none"
	waitFinished   = "finished"
	waitTranscript = "transcript"
)

// lookupFields say what is read of a call, and when.
func lookupFields() []*service.ConfigField {
	return []*service.ConfigField{
		includeField("What to read besides the call itself").
			Default([]any{partTranscript}),
		service.NewStringAnnotatedEnumField(clFieldWait, map[string]string{
			waitNone:       "Take the call as it is.",
			waitFinished:   "Wait until the call is over.",
			waitTranscript: "Wait until the call is over and its transcript is there.",
		}).Description("What to wait for. While it waits, the whole batch waits, so give the pipeline threads.").
			Default(waitNone),
		service.NewDurationField(clFieldWaitTimeout).
			Description("The longest wait.").
			Default("30m"),
		service.NewDurationField(clFieldPollInterval).
			Description("The time after which a call that is waited for is read again.").
			Default("10s"),
		service.NewStringField(clFieldCache).
			Description("The label of a `cache` resource that keeps finished calls, so that each is read once. Recordings are never kept, since their URLs expire.").
			Default(""),
	}
}

// enrichment is what was found of a call. The result is shared by all messages
// that ask for the call, and is not to be changed.
type enrichment struct {
	outcome string
	reason  string
	result  *gabs.Container // an object; nil when nothing was found
	err     error
}

// callLookup reads calls and their parts.
type callLookup struct {
	callParts
	wait        string
	waitTimeout time.Duration
	poll        time.Duration

	cache   store.Store   // of finished calls; nil for none
	trouble *pause.Notice // with the cache
}

// A cache that fails costs requests, not messages.
var callCacheTrouble = pause.Wording{
	Begins: "Finished-call cache unavailable; calls are read from the API: %v",
	Lasts:  "Finished-call cache still unavailable, since %s; calls are read from the API: %v",
	Ends:   "Finished-call cache available again after %v.",
}

func (l *callLookup) fromParsed(conf *service.ParsedConfig, res *service.Resources) (err error) {
	l.trouble = pause.NewNotice(res.Logger(), callCacheTrouble, nil)
	if err = l.callParts.fromParsed(conf, res); err != nil {
		return err
	}
	if l.wait, err = choice(conf, clFieldWait, waitNone, waitFinished, waitTranscript); err != nil {
		return err
	}
	if l.wait == waitTranscript && !slices.Contains(l.include, partTranscript) {
		return fmt.Errorf("%s: transcript needs transcript in %s", clFieldWait, fieldInclude)
	}
	if l.waitTimeout, err = positiveDuration(conf, clFieldWaitTimeout); err != nil {
		return err
	}
	if l.poll, err = positiveDuration(conf, clFieldPollInterval); err != nil {
		return err
	}
	label, err := conf.FieldString(clFieldCache)
	if err != nil || label == "" {
		return err
	}
	if !res.HasCache(label) {
		return fmt.Errorf("%s: no cache resource is labelled %q", clFieldCache, label)
	}
	l.cache = cacheResource{res: res, label: label}
	return nil
}

// close ends what the lookup reports by itself.
func (l *callLookup) close() { l.trouble.Stop() }

// find looks a call up, waiting for it as configured. A slot is held during
// requests, not during waits.
func (l *callLookup) find(ctx context.Context, slots chan struct{}, id string) *enrichment {
	deadline := time.Now().Add(l.waitTimeout)
	for {
		e := l.once(ctx, slots, id)
		if e.outcome != words.NotReady || l.wait == waitNone || l.ready(e) || ctx.Err() != nil {
			return e
		}
		left := time.Until(deadline)
		if left <= 0 {
			e.reason, e.err = words.NotReady, fmt.Errorf("after %v %s still missing", l.waitTimeout, l.missing(e))
			return e
		}
		if pause.Sleep(ctx, min(l.poll, left)) != nil {
			return e
		}
	}
}

// ready says whether an incomplete call is all that is waited for.
func (l *callLookup) ready(e *enrichment) bool {
	return l.wait == waitFinished && statusOf(e).Final()
}

func (l *callLookup) missing(e *enrichment) string {
	if !statusOf(e).Final() {
		return "the end of the call is"
	}
	return "the transcript is"
}

// statusOf is the status of the call that was found, "" for none.
func statusOf(e *enrichment) happyrobot.Status {
	s, _ := e.result.S("status").Data().(string)
	return happyrobot.Status(s)
}

func (l *callLookup) once(ctx context.Context, slots chan struct{}, id string) *enrichment {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return &enrichment{outcome: words.Rejected, err: ctx.Err()}
	}
	result, kept := l.kept(ctx, id)
	complete := kept
	if !kept {
		call, err := l.api.GetCall(ctx, id)
		if err != nil {
			return failedLookup(err)
		}
		if result, err = callObject(call); err != nil {
			return failedLookup(err)
		}
		if complete, err = l.addLasting(ctx, call, call.Status.Final(), result); err != nil {
			return failedLookup(err)
		}
		if complete {
			l.keep(ctx, id, result)
		}
	}
	if err := l.addRecording(ctx, id, result); err != nil {
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

// key names a finished call in the cache. Lookups that include different parts
// do not share an entry.
func (l *callLookup) key(id string) string {
	parts := slices.DeleteFunc(slices.Clone(l.include), func(p string) bool { return p == partRecording })
	slices.Sort(parts)
	return store.FlatName("happyrobot_call/1/" + strings.Join(slices.Compact(parts), "+") + "/" + id)
}

// kept gets a finished call from the cache.
func (l *callLookup) kept(ctx context.Context, id string) (*gabs.Container, bool) {
	if l.cache == nil {
		return nil, false
	}
	value, err := l.cache.Get(ctx, l.key(id))
	if !errors.Is(err, store.ErrNotFound) {
		l.noteCache(ctx, err)
	}
	if err != nil {
		return nil, false
	}
	result, err := jsonObject(value)
	if err != nil || !isOf(result.S("id"), id) {
		return nil, false
	}
	// Earlier versions kept whatever came, another call's transcript included, and
	// made texts by other rules.
	if transcript := result.S(partTranscript); isObject(transcript) {
		var known happyrobot.Transcript
		if !isOf(transcript.S("call_id"), id) || json.Unmarshal(transcript.Bytes(), &known) != nil || l.texts.add(transcript, known) != nil {
			return nil, false
		}
	}
	return result, true
}

// isOf reports whether a member with an id names the call, or no call.
func isOf(member *gabs.Container, id string) bool {
	value := member.Data()
	return value == nil || value == "" || value == id
}

func (l *callLookup) keep(ctx context.Context, id string, result *gabs.Container) {
	if l.cache == nil {
		return
	}
	l.noteCache(ctx, l.cache.Set(ctx, l.key(id), result.Bytes(), nil))
}

func (l *callLookup) noteCache(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil: // the pipeline stops
	case err == nil:
		l.trouble.Recovered()
	default:
		l.trouble.Trouble(err)
	}
}

// flights lets batches that run side by side share the reading of a call.
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
