package plugin

import (
	"context"
	"encoding/json"
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

const ( // ic: input calls
	icFieldCache          = "cache"
	icFieldStartFrom      = "start_from"
	icFieldEmit           = "emit"
	icFieldType           = "type"
	icFieldStatuses       = "statuses"
	icFieldUseCases       = "use_cases"
	icFieldCampaigns      = "campaigns"
	icFieldPollInterval   = "poll_interval"
	icFieldPageSize       = "page_size"
	icFieldMaxCallAge     = "max_call_age"
	icFieldListLag        = "list_lag"
	icFieldIncludeTimeout = "include_timeout"
)

// What happyrobot_calls emits.
const (
	emitFinished = "finished"
	emitChanges  = "changes"
)

// maxPageSize is what the documentation of the API bounds a page by.
const maxPageSize = 1999

func init() { service.MustRegisterInput("happyrobot_calls", inputCallsSpec(), newCallsInputFromParsed) }

func inputCallsSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Streams calls when they are over, once each, complete with extraction and classification, and on request transcript, recording and logs.").
		Description(description("input_happyrobot_calls")).
		Categories("Services").
		Fields(clientFields()...).
		Fields(
			service.NewStringField(icFieldCache).
				Description("The label of the `cache` resource that keeps the cursor: a durable one, such as `bbolt` on one machine or `redis`. Its key is `happyrobot_calls/` and the label of this input, or `default`.").
				LintRule(`root = if this.trim() == "" { [ "`+"`cache`"+` must name a cache resource" ] }`),
			service.NewStringField(icFieldStartFrom).
				Description("Where to begin when the cache holds no cursor yet: calls created earlier are not emitted. A time back from now, such as `720h`, or a date, `2026-03-01` or `2026-03-01T08:00:00Z`.").
				Default("24h").
				Example("720h").
				Example("2026-03-01T00:00:00Z").
				LintRule(`root = if !this.re_match("^([0-9.]+(ns|us|µs|ms|s|m|h))+$") && !this.re_match("^0$") && !this.re_match("^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt].+)?$") { [ "`+"`start_from`"+` must be a time back such as 24h, or a date such as 2026-03-01T00:00:00Z" ] }`),
			service.NewStringAnnotatedEnumField(icFieldEmit, map[string]string{
				emitFinished: "A message for each call, when it is over.",
				emitChanges:  "A message for each status that is observed, the last of them when the call is over. Statuses between two looks are not seen.",
			}).Description("What to emit.").
				Default(emitFinished),
			includeField("What to read besides the call itself, once it is over").
				Default([]any{}),
			service.NewStringEnumField(icFieldType, "", string(happyrobot.Inbound), string(happyrobot.Outbound)).
				Description("Only calls of this direction: `Inbound` or `Outbound`. Empty is both.").
				Default(""),
			service.NewStringListField(icFieldStatuses).
				Description("Emit only calls with one of these statuses, however the API spells them. Empty is all. A word that the API does not document, when listed here, counts as the end of a call.").
				Default([]any{}).
				Example([]any{string(happyrobot.StatusCompleted), string(happyrobot.StatusTransferred)}).
				LintRule(statusesLint()),
			service.NewStringListField(icFieldUseCases).
				Description("Only calls of the use cases with these ids. Empty is all.").
				Default([]any{}),
			service.NewStringListField(icFieldCampaigns).
				Description("Only calls of the campaigns with these ids. Empty is all.").
				Default([]any{}),
			service.NewDurationField(icFieldPollInterval).
				Description("The time from the end of one listing to the next.").
				Default("15s"),
			service.NewIntField(icFieldPageSize).
				Description("Calls to ask for in one request, up to 1999. Pages overlap by one call, so 1 asks for 2.").
				Default(100).
				LintRule(`root = if this < 1 || this > 1999 { [ "`+"`page_size`"+` must be from 1 to 1999" ] }`),
			service.NewDurationField(icFieldMaxCallAge).
				Description("How long to wait for the end of a call, from its creation, or from when it is scheduled for. A call that is still open then is given up, with a warning.").
				Default("168h"),
			service.NewDurationField(icFieldListLag).
				Description("How long after its creation a call may be missing in lists; not documented by the API. Calls created in this time before the newest one are listed again each time.").
				Default("10m").
				Advanced(),
			service.NewDurationField(icFieldIncludeTimeout).
				Description("How long to wait for a transcript, or for anything else of `include` that cannot be read, after the call is seen to be over. Then the call is emitted without it, with the outcome `not_ready`.").
				Default("30m").
				Advanced(),
			service.NewAutoRetryNacksToggleField().
				Description("Whether messages that the output rejects are tried again until they are delivered. With `false` a rejected call is not lost either: it is read again, and emitted as it is then, after `poll_interval`."),
		).
		LintRule(`root = if this.emit.or("finished") == "finished" && this.statuses.or([]).type() == "array" && this.statuses.or([]).any(s -> ["scheduled","queued","initiated","ringing","inprogress","dialing","dialling","connected"].contains(s.string().lowercase().re_replace_all("[\\s_-]", ""))) { [ "`+"`statuses`"+` holds one that no finished call has; use `+"`emit: changes`"+` to see calls that are not over" ] }`).
		Example("Finished calls with what was said in them", "One row for each call, ready for a table. A second run begins where the first ended.", `
input:
  happyrobot_calls:
    api_key: ${HAPPYROBOT_API_KEY}
    cache: cursor
    start_from: 720h
    include: [ transcript ]

pipeline:
  processors:
    - mapping: |
        root.call_id = this.id
        root.lead_id = this.metadata.custom.lead_id | null
        root.status = @happyrobot_call_status | this.status
        root.duration = this.duration | null
        root.classification = this.classification.tag | null
        root.extraction = this.extraction | {}
        root.transcript = this.transcript.text | ""

output:
  file:
    path: ./call_outcomes.jsonl
    codec: lines

cache_resources:
  - label: cursor
    bbolt:
      path: ./state/cursor.db
`).
		Example("Every status of the outbound calls, as JSON lines", "", `
input:
  label: outbound_changes
  happyrobot_calls:
    api_key: ${HAPPYROBOT_API_KEY}
    cache: cursor
    emit: changes
    type: Outbound
    poll_interval: 5s

output:
  file:
    path: ./changes.jsonl
    codec: lines

cache_resources:
  - label: cursor
    bbolt:
      path: ./state/cursor.db
`)
}

// statusesLint refuses known words in another case, which no call would ever have.
func statusesLint() string {
	known, err := json.Marshal(happyrobot.KnownStatuses())
	if err != nil {
		panic(err) // they are constants
	}
	return `let known = ` + string(known) + `
root = if this.type() == "string" && !$known.contains(this) && $known.map_each(s -> s.lowercase()).contains(this.lowercase()) {
  [ "` + "`statuses`" + `: the API writes %s as %s".format(this, $known.filter(s -> s.lowercase() == this.lowercase()).index(0)) ]
}`
}

// readPatience is how long a single read is repeated. The feed asks again anyway,
// and one call that cannot be read must not hold up the others.
const readPatience = 10 * time.Second

func newCallsInputFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.Input, error) {
	in := &callsInput{log: res.Logger()}
	if err := in.fromParsed(conf, res); err != nil {
		return nil, err
	}
	emitted := res.Metrics().NewCounter(words.MetricCallsEmitted, "outcome")
	dropped := res.Metrics().NewCounter(words.MetricCallsDropped, "reason")
	watched := res.Metrics().NewGauge(words.MetricCallsWatched)
	lag := res.Metrics().NewGauge(words.MetricCallsLag)
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
	client, err := clientFromParsed(conf, res)
	if err != nil {
		return err
	}
	in.client = client
	client.options.Retry.MaxElapsedTime = readPatience
	client.options.OnRetry, client.options.OnAnswer = nil, nil // the feed tells what lasts
	if in.parts.api, err = client.client(); err != nil {
		return err
	}
	o := &in.options
	o.API = in.parts.api
	if o.Store, err = cursorFromParsed(conf, res); err != nil {
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
	if o.PageSize < 1 || o.PageSize > maxPageSize {
		return fmt.Errorf("%s: must be from 1 to %d", icFieldPageSize, maxPageSize)
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
	o := &in.options
	direction, err := choice(conf, icFieldType, "", string(happyrobot.Inbound), string(happyrobot.Outbound))
	if err != nil {
		return err
	}
	o.Filter.Type = happyrobot.CallType(direction)
	for field, into := range map[string]*[]string{icFieldUseCases: &o.Filter.UseCases, icFieldCampaigns: &o.Filter.Campaigns} {
		if *into, err = conf.FieldStringList(field); err != nil {
			return err
		}
		for _, id := range *into {
			// The API takes a list with commas, so one would make two of it.
			if strings.TrimSpace(id) == "" || strings.Contains(id, ",") {
				return fmt.Errorf("%s: an id must not be empty and holds no comma", field)
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
		if !o.Changes && status.Known() && !status.Final() {
			return fmt.Errorf("%s: no finished call has the status %q; use %s: %s to see calls that are not over", icFieldStatuses, s, icFieldEmit, emitChanges)
		}
		o.Statuses = append(o.Statuses, status)
	}
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
		return fmt.Errorf("opening the cursor: %w", err)
	}
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
func (in *callsInput) readParts(ctx context.Context, call happyrobot.Call) (any, bool, error) {
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
		return nil // which Connect has told
	}
	return err
}
