package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Parts of a call that are read apart from it.
const (
	partTranscript = "transcript"
	partRecording  = "recording"
	partLogs       = "logs"
)

// What a lookup waits for.
const (
	waitNone       = "none"
	waitFinished   = "finished"
	waitTranscript = "transcript"
)

// Outcomes of a lookup.
const (
	lookupComplete = "complete"
	lookupNotReady = "not_ready"
	lookupNotFound = "not_found"
	lookupRejected = "rejected"
)

// enrichment is what was found of a call. The result is shared by all messages
// that ask for the call, and is not to be changed.
type enrichment struct {
	outcome string
	reason  string
	result  map[string]any
	err     error
}

// callParts reads what belongs to a call.
type callParts struct {
	api     *happyrobot.Client
	include []string
	texts   *transcriptTexts
}

func includeField(what string) *service.ConfigField {
	return service.NewStringListField(pcFieldInclude).
		Description(what + ": `transcript`, `recording`, `logs`. The paths of recordings and logs are not documented by the API.").
		LintRule(`root = if this.type() != "array" && !["transcript","recording","logs"].contains(this) { [ "` + "`include`" + ` can hold transcript, recording and logs" ] }`)
}

func (p *callParts) fromParsed(conf *service.ParsedConfig, res *service.Resources) (err error) {
	p.texts = newTranscriptTexts(res, "transcript.messages")
	if p.include, err = conf.FieldStringList(pcFieldInclude); err != nil {
		return err
	}
	for _, part := range p.include {
		if part != partTranscript && part != partRecording && part != partLogs {
			return fmt.Errorf("%s: %q is not one of transcript, recording, logs", pcFieldInclude, part)
		}
	}
	return nil
}

// callLookup reads calls and their parts.
type callLookup struct {
	callParts
	wait        string
	waitTimeout time.Duration
	poll        time.Duration

	res          *service.Resources
	cache        string // label, "" for none
	cacheFailing atomic.Bool
}

func (l *callLookup) fromParsed(conf *service.ParsedConfig, res *service.Resources) (err error) {
	l.res = res
	if err = l.callParts.fromParsed(conf, res); err != nil {
		return err
	}
	if l.wait, err = choice(conf, pcFieldWait, waitNone, waitFinished, waitTranscript); err != nil {
		return err
	}
	if l.wait == waitTranscript && !slices.Contains(l.include, partTranscript) {
		return fmt.Errorf("%s: transcript needs transcript in %s", pcFieldWait, pcFieldInclude)
	}
	if l.waitTimeout, err = positiveDuration(conf, pcFieldWaitTimeout); err != nil {
		return err
	}
	if l.poll, err = positiveDuration(conf, pcFieldPollInterval); err != nil {
		return err
	}
	if l.cache, err = conf.FieldString(pcFieldCache); err != nil {
		return err
	}
	if l.cache != "" && !res.HasCache(l.cache) {
		return fmt.Errorf("%s: no cache resource is labelled %q", pcFieldCache, l.cache)
	}
	return nil
}

// find looks a call up, waiting for it as configured. A slot is held during
// requests, not during waits.
func (l *callLookup) find(ctx context.Context, slots chan struct{}, id string) *enrichment {
	deadline := time.Now().Add(l.waitTimeout)
	for {
		e := l.once(ctx, slots, id)
		if e.outcome != lookupNotReady || l.wait == waitNone || l.ready(e) || ctx.Err() != nil {
			return e
		}
		left := time.Until(deadline)
		if left <= 0 {
			e.reason, e.err = lookupNotReady, fmt.Errorf("after %v %s still missing", l.waitTimeout, l.missing(e))
			return e
		}
		timer := time.NewTimer(min(l.poll, left))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
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
	s, _ := e.result["status"].(string)
	return happyrobot.Status(s)
}

func (l *callLookup) once(ctx context.Context, slots chan struct{}, id string) *enrichment {
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return &enrichment{outcome: lookupRejected, err: ctx.Err()}
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
		return &enrichment{outcome: lookupNotReady, result: result}
	}
	return &enrichment{outcome: lookupComplete, result: result}
}

// callObject is a call as the API reports it.
func callObject(call happyrobot.Call) (map[string]any, error) {
	object, err := structured(call.Raw)
	result, ok := object.(map[string]any)
	if err != nil || !ok {
		return nil, errors.New("the API's answer is not an object")
	}
	return result, nil
}

// addLasting adds the parts that stay as they are once the call is over, and says
// whether they are all there.
func (p *callParts) addLasting(ctx context.Context, call happyrobot.Call, over bool, result map[string]any) (complete bool, err error) {
	complete = over
	if slices.Contains(p.include, partTranscript) && over {
		transcript, err := p.api.GetTranscript(ctx, call.ID)
		switch {
		case happyrobot.IsNotFound(err), err == nil && len(transcript.Messages) == 0:
			complete = !call.Status.ExpectsTranscript()
		case err != nil:
			return false, err
		default:
			object, err := structured(transcript.Raw)
			if err != nil {
				return false, err
			}
			if t, ok := object.(map[string]any); ok {
				p.texts.add(t, transcript)
				result[partTranscript] = t
			}
		}
	}
	if slices.Contains(p.include, partLogs) {
		logs, err := p.api.GetCallLogs(ctx, call.ID)
		if err != nil && !happyrobot.IsNotFound(err) {
			return false, err
		}
		if err == nil {
			if result[partLogs], err = structured(logs); err != nil {
				return false, err
			}
		}
	}
	return complete, nil
}

// addRecording adds where the recording is. The URL expires, so it is asked for each time.
func (p *callParts) addRecording(ctx context.Context, id string, result map[string]any) error {
	if !slices.Contains(p.include, partRecording) {
		return nil
	}
	recording, err := p.api.GetRecording(ctx, id)
	if err == nil {
		result["recording_url"] = recording.URL
	} else if !happyrobot.IsNotFound(err) {
		return err
	}
	return nil
}

func failedLookup(err error) *enrichment {
	if happyrobot.IsNotFound(err) {
		return &enrichment{outcome: lookupNotFound, reason: lookupNotFound, err: err}
	}
	if happyrobot.IsUnreadable(err) {
		return &enrichment{outcome: lookupRejected, reason: reasonUnreadable, err: err}
	}
	return &enrichment{outcome: lookupRejected, reason: reasonRefused, err: err}
}

// key names a finished call in the cache. Lookups that include different parts
// do not share an entry.
func (l *callLookup) key(id string) string {
	parts := slices.DeleteFunc(slices.Clone(l.include), func(p string) bool { return p == partRecording })
	slices.Sort(parts)
	return "happyrobot_call/1/" + strings.Join(slices.Compact(parts), "+") + "/" + id
}

// kept gets a finished call from the cache. A cache that fails costs requests,
// not messages.
func (l *callLookup) kept(ctx context.Context, id string) (map[string]any, bool) {
	if l.cache == "" {
		return nil, false
	}
	var value []byte
	var err error
	if aerr := l.res.AccessCache(ctx, l.cache, func(c service.Cache) { value, err = c.Get(ctx, l.key(id)) }); aerr != nil {
		err = aerr
	}
	if !errors.Is(err, service.ErrKeyNotFound) {
		l.noteCache(err)
	}
	if err != nil {
		return nil, false
	}
	object, err := structured(value)
	result, ok := object.(map[string]any)
	if err != nil || !ok || !isOf(result["id"], id) {
		return nil, false
	}
	// Earlier versions kept whatever came, another call's transcript included, and
	// made texts by other rules.
	if transcript, ok := result[partTranscript].(map[string]any); ok {
		if !isOf(transcript["call_id"], id) {
			return nil, false
		}
		written, err := json.Marshal(transcript)
		var known happyrobot.Transcript
		if err != nil || json.Unmarshal(written, &known) != nil {
			return nil, false
		}
		l.texts.add(transcript, known)
	}
	return result, true
}

// isOf reports whether a member with an id names the call, or no call.
func isOf(member any, id string) bool { return member == nil || member == "" || member == id }

func (l *callLookup) keep(ctx context.Context, id string, result map[string]any) {
	if l.cache == "" {
		return
	}
	value, err := json.Marshal(result)
	if err == nil {
		if aerr := l.res.AccessCache(ctx, l.cache, func(c service.Cache) { err = c.Set(ctx, l.key(id), value, nil) }); aerr != nil {
			err = aerr
		}
	}
	l.noteCache(err)
}

func (l *callLookup) noteCache(err error) {
	if failing := err != nil; l.cacheFailing.Swap(failing) != failing && failing {
		l.res.Logger().Warnf("The cache of finished calls fails; calls are read from the API: %v", err)
	}
}
