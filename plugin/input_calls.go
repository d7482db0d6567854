package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// readPatience is how long a single read is repeated. The feed asks again anyway,
// and one call that cannot be read must not hold up the others.
const readPatience = 10 * time.Second

func newCallsInputFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.Input, error) {
	in := &callsInput{log: res.Logger()}
	if err := in.fromParsed(conf, res); err != nil {
		return nil, err
	}
	emitted := fromZero(res.Metrics().NewCounter(words.MetricCallsEmitted, "outcome"), words.OutcomeNames("happyrobot_calls")...)
	dropped := fromZero(res.Metrics().NewCounter(words.MetricCallsDropped, "reason"), words.Deleted, words.Expired)
	watched := res.Metrics().NewGauge(words.MetricCallsWatched)
	lag := res.Metrics().NewGauge(words.MetricCallsLag)
	watched.Set(0)
	lag.Set(0)
	o := &in.options
	o.Log = in.log
	o.OnEmit = func(outcome string) { emitted.Incr(1, outcome) }
	o.OnDrop = func(reason string) { dropped.Incr(1, reason) }
	o.OnProgress = func(n int, behind time.Duration) {
		watched.Set(int64(n))
		lag.Set(int64(behind / time.Second))
	}
	return in, nil
}

func (in *callsInput) fromParsed(conf *service.ParsedConfig, res *service.Resources) error {
	client, err := clientFromParsed(conf, res, newPausedGauge(res, callsInputName))
	if err != nil {
		return err
	}
	in.client = client
	client.options.Retry.MaxElapsedTime = readPatience
	client.options.OnRepeat = nil // the feed reports what lasts
	if in.parts.api, err = client.client(); err != nil {
		return err
	}
	o := &in.options
	o.Unit, o.CauseOf, o.Wait = callfeed.CallUnit, causeOf, client.paused.wait
	in.opening = client.paused.wait()
	cache, err := conf.FieldString(icFieldCache)
	if err != nil {
		return err
	}
	if !res.HasCache(cache) {
		return fmt.Errorf("%s: no cache resource is labelled %q", icFieldCache, cache)
	}
	if o.Store, err = newCursor(res, cache, callsInputName, "calls"); err != nil {
		return err
	}
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
	emit, err := choice(conf, icFieldEmit, emitFinished, emitChanges)
	if err != nil {
		return err
	}
	o.Changes = emit == emitChanges
	if err := in.parts.fromParsed(conf, res); err != nil {
		return err
	}
	if len(in.parts.include) > 0 {
		o.Parts = in.readParts
	}
	if err := in.filtersFromParsed(conf); err != nil {
		return err
	}
	if o.PageSize, err = conf.FieldInt(icFieldPageSize); err != nil {
		return err
	}
	if o.PageSize < 1 || o.PageSize > callfeed.MaxPage {
		return fmt.Errorf("%s: must be from 1 to %d", icFieldPageSize, callfeed.MaxPage)
	}
	for field, into := range map[string]*time.Duration{
		icFieldPollInterval: &o.Poll, icFieldMaxCallAge: &o.MaxAge,
		icFieldListLag: &o.Lag, icFieldIncludeTimeout: &o.PartsTimeout,
	} {
		if *into, err = positiveDuration(conf, field); err != nil {
			return err
		}
	}
	return nil
}

func (in *callsInput) filtersFromParsed(conf *service.ParsedConfig) error {
	calls := callfeed.Calls{API: in.parts.api}
	direction, err := choice(conf, icFieldType, "", string(happyrobot.Inbound), string(happyrobot.Outbound))
	if err != nil {
		return err
	}
	calls.Filter.Type = happyrobot.CallType(direction)
	for field, into := range map[string]*[]string{icFieldUseCases: &calls.Filter.UseCases, icFieldCampaigns: &calls.Filter.Campaigns} {
		if *into, err = conf.FieldStringList(field); err != nil {
			return err
		}
		for _, id := range *into {
			if err := happyrobot.ValidateOpaqueID(id); err != nil {
				return fmt.Errorf("%s: %w", field, err)
			}
		}
	}
	statuses, err := conf.FieldStringList(icFieldStatuses)
	if err != nil {
		return err
	}
	for _, s := range statuses {
		status := happyrobot.Status(s)
		canonical := status.Canonical()
		if canonical != status && strings.EqualFold(string(canonical), s) {
			return fmt.Errorf("%s: the API writes %q as %q", icFieldStatuses, s, canonical)
		}
		status = canonical // other spellings were advised by the log of earlier versions
		if !in.options.Changes && status.Known() && !status.Final() {
			return fmt.Errorf("%s: no finished call has the status %q; use %s: %s to see calls that are not over", icFieldStatuses, s, icFieldEmit, emitChanges)
		}
		calls.Statuses = append(calls.Statuses, status)
	}
	in.options.Statuses, in.options.API = calls.Statuses, calls
	return nil
}

// parseStart makes start_from a function of the time of the first start.
func parseStart(s string) (func(now time.Time) time.Time, error) {
	if back, err := time.ParseDuration(s); err == nil && back >= 0 {
		return func(now time.Time) time.Time { return now.Add(-back) }, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, s); err == nil {
			return func(time.Time) time.Time { return at }, nil
		}
	}
	return nil, fmt.Errorf("%s: must be a time back such as 24h, or a date such as 2026-03-01T00:00:00Z", icFieldStartFrom)
}

// callsInput emits the events of a feed.
type callsInput struct {
	client  clientConfig
	options callfeed.Options
	start   func(time.Time) time.Time
	opening func(cause string) // shows that the cursor cannot be read
	parts   callParts
	log     *service.Logger

	mu     sync.Mutex
	feed   *callfeed.Feed
	ended  error // why the feed gave up, for good
	closed bool
}

// Connect reads the cursor and starts the feed.
func (in *callsInput) Connect(ctx context.Context) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.closed:
		return service.ErrEndOfInput
	case in.ended != nil:
		return in.ended
	case in.feed != nil:
		return nil
	}
	o := in.options
	o.Start = in.start(time.Now())
	feed, err := callfeed.Open(ctx, o)
	if err != nil {
		in.opening(words.CauseLedger)
		return fmt.Errorf("opening the cursor (%s): %w", words.CauseLedger, err)
	}
	in.opening("")
	in.feed = feed
	return nil
}

// Read waits for the next call.
func (in *callsInput) Read(ctx context.Context) (*service.Message, service.AckFunc, error) {
	in.mu.Lock()
	feed := in.feed
	in.mu.Unlock()
	if feed == nil {
		return nil, nil, service.ErrNotConnected
	}
	event, err := feed.Next(ctx)
	if err != nil {
		if ctx.Err() == nil {
			in.mu.Lock()
			in.ended = err
			in.mu.Unlock()
			err = service.ErrNotConnected
		}
		return nil, nil, err
	}
	return callMessage(event), event.Ack, nil
}

// readParts reads what belongs to a call that is over.
func (in *callsInput) readParts(ctx context.Context, item callfeed.Item) (any, bool, error) {
	call, _ := item.Object.(happyrobot.Call)
	result, err := callObject(call)
	if err != nil {
		return nil, false, err
	}
	complete, err := in.parts.addLasting(ctx, call, true, result)
	if err == nil && complete {
		err = in.parts.addRecording(ctx, call.ID, result)
	}
	return result.Data(), complete, err
}

// Close ends the feed, after what was acknowledged is saved.
func (in *callsInput) Close(ctx context.Context) error {
	in.mu.Lock()
	in.closed = true
	feed := in.feed
	in.mu.Unlock()
	defer in.client.close()
	if feed == nil {
		return nil
	}
	err := feed.Close(ctx)
	if errors.Is(err, callfeed.ErrTakenOver) || errors.Is(err, callfeed.ErrNewerState) {
		return nil // which Connect has reported
	}
	return err
}
