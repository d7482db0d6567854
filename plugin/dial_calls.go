package plugin

import (
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// dfFieldMaxCalls is a dial field of v1 alone.
const dfFieldMaxCalls = "max_calls_per_request"

// callDialFields are the fields of happyrobot_dial.
func callDialFields() []*service.ConfigField {
	return dialFields(ownFields{request: callFields(), settle: "30s", sending: []*service.ConfigField{
		service.NewIntField(dfFieldMaxCalls).
			Description("The most calls in one request. A larger batch is split.").
			Default(20).
			LintRule(`root = if this < 1 { [ "` + "`max_calls_per_request`" + ` must be at least 1" ] }`),
	}})
}

// newCallEngine makes the engine of a happyrobot_dial. tells says whether anybody is told
// the created calls themselves.
func newCallEngine(conf *service.ParsedConfig, res *service.Resources, tells bool) (*dialEngine, error) {
	e := newDialEngine(res, "happyrobot_dial", ofCalls)
	client, err := clientFromParsed(conf, res, e.pauses.gauge)
	if err != nil {
		return nil, err
	}
	e.pauses.gauge.showOnHold(res.Metrics().NewGauge(words.MetricDialOnHold))
	client.options.OmitRaw = !tells
	shared := sharedLists(client.api)
	clock := newClockReport(res, &shared.Clock)
	client.options.OnDate = clock.sawDate
	e.closes = append(e.closes, clock.close, client.close)

	calls := &callBuilder{}
	if err := calls.fromParsed(conf, res.Logger()); err != nil {
		return nil, err
	}
	e.requests = calls
	opts, err := dialOptions(conf, client)
	if err != nil {
		return nil, err
	}
	if opts.MaxCallsPerRequest, err = conf.FieldInt(dfFieldMaxCalls); err != nil {
		return nil, err
	}
	if opts.MaxCallsPerRequest < 1 {
		return nil, fmt.Errorf("%s: must be at least 1", dfFieldMaxCalls)
	}
	opts.Shared, opts.OnClock = shared, clock.report
	log := res.Logger()
	opts.OnEchoMissing = func() {
		log.Warn("The API answered a dial without our reference in metadata.custom.dial_ref. Calls that are not listed are held, also with `redial_absent`.")
	}
	opts.OnPartialRefusal = func() {
		log.Warn("The API refused a request, but created some of its calls. From now on, calls of a refused request are looked up for `settle` before they are sent again.")
	}
	posts, err := client.unlimited()
	if err != nil {
		return nil, err
	}
	reads, err := client.client()
	if err != nil {
		return nil, err
	}
	return e, e.open(conf, res, client, dialAPI{posts: posts, reads: reads}, opts)
}
