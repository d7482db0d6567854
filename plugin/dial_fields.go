package plugin

import (
	"fmt"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

const ( // df: dial fields, of every component that dials
	dfFieldOnUnknown   = "on_unknown"
	dfFieldSettle      = "settle"
	dfFieldRedials     = "max_redials"
	dfFieldRefSalt     = "dial_ref_salt"
	dfFieldMaxReject   = "max_rejects_in_a_row"
	dfFieldDryRun      = "dry_run"
	dfFieldCallLimit   = "call_rate_limit"
	dfFieldDedupeKey   = "dedupe_key"
	dfFieldDialErrored = "dial_errored"
)

// ownFields are what a component that dials has besides the fields of all.
type ownFields struct {
	request []*service.ConfigField // what is asked for a message
	sending []*service.ConfigField // how it is sent
	settle  string                 // the default
}

// dialFields are the fields of a component that dials.
func dialFields(own ownFields) []*service.ConfigField {
	return slices.Concat(own.request, []*service.ConfigField{
		service.NewBoolField(dfFieldDialErrored).
			Description("Also dial messages that an earlier processor failed on. Otherwise they are rejected with the reason `processing_failed`.").
			Default(false),
		service.NewInterpolatedStringField(dfFieldDedupeKey).
			Description(description("field_dedupe_key")).
			Default("").
			Example(`${! this.id }`).
			Example(`${! this.campaign }/${! this.id }`).
			Example(`${! (this.campaign | "") + "/" + this.id }`),
		service.NewStringField(dfFieldLedger).
			Description("The label of the `cache` resource that remembers what was dialed: `bbolt` for one process, `redis` or another shared cache with an atomic add for several. Empty keeps it in memory: after a restart, leads that are delivered again are called again.").
			Default(""),
		service.NewDurationField(dfFieldDedupeWindow).
			Description("How long a dial is remembered. It must be longer than `timeout` plus `settle` plus a minute. With `on_unknown: redial_absent` it must be longer than `timeout` plus `settle` × 2^`max_redials` plus a minute.").
			Default("168h"),
		service.NewStringAnnotatedEnumField(dfFieldOnUnknown, map[string]string{
			string(dialer.Hold):         "Fail the message with the reason `unknown`. No lead is ever called twice.",
			string(dialer.RedialAbsent): "Trust that a call which is not listed after `settle` was never placed, and dial again.",
		}).Description("What to do with a call that may have been placed, and that the API does not list.").
			Default(string(dialer.Hold)),
		service.NewDurationField(dfFieldSettle).
			Description("How long after a request a created call may take to be listed by the API. It doubles each time a lead is sent again.").
			Default(own.settle),
		service.NewIntField(dfFieldRedials).
			Description("With `on_unknown: redial_absent`, how many times a lead may be sent again after a request left, across restarts. Beyond that the message is `held`. `0` never sends one again. Requests that the API answered with 5xx while it accepted no other call do not count.").
			Default(3).
			LintRule(`root = if this < 0 { [ "` + "`max_redials`" + ` must not be negative; 0 never sends a lead again" ] }`).
			Advanced(),
	}, own.sending, []*service.ConfigField{
		service.NewStringField(dfFieldRefSalt).
			Description("A secret that keeps `dial_ref` from revealing the key of a lead. Without it `dial_ref` is a plain digest: if `dedupe_key` is a phone number, whoever sees `dial_ref` finds the number by trying them all. With it `dial_ref` is an HMAC. Use at least 16 random characters, the same for all processes that share the ledger. It changes only what the API is sent, and what logs and records show: leads in the ledger stay known when it is set, changed or removed, and calls in doubt are looked up by the reference that they were sent with.").
			Example("${HAPPYROBOT_DIAL_REF_SALT}").
			Secret().
			Default("").
			Advanced(),
		service.NewIntField(dfFieldMaxReject).
			Description("How many messages in a row may be rejected for what they or this config hold, before the stream pauses with the cause `refusals`: a wrong column or id would otherwise send a whole topic to the failures. Set more than the longest run of bad leads that is usual. `0` never pauses for rejected messages. See [When everything is refused](#when-everything-is-refused).").
			Default(0).
			Example(100).
			LintRule(`root = if this < 0 { [ "` + "`max_rejects_in_a_row`" + ` must be at least 1, or 0 for any number" ] }`),
		service.NewStringField(dfFieldCallLimit).
			Description("The label of a `rate_limit` resource that limits calls, where `rate_limit` limits requests. It is asked once for each call that is about to be placed, and not for calls that the ledger knows. A request holds only as many calls as it lets through at once: with one call per second, each request has one. Components that name the same resource share it. Empty is no limit.").
			Example("calls_per_second").
			LintRule(`root = if this.trim() != this { [ "` + "`call_rate_limit`" + ` must be the label of a rate_limit resource, without blanks around it" ] }`).
			Default(""),
		service.NewBoolField(dfFieldDryRun).
			Description("Check messages and log what would be dialed, but place no calls. The ledger is not touched.").
			Default(false),
	})
}

// callLimit is the limit of calls that the config names, nil for none.
func callLimit(conf *service.ParsedConfig, res *service.Resources, why *pauses) (*dialer.CallLimit, error) {
	limit, err := rateLimitFromParsed(conf, res, dfFieldCallLimit)
	if err != nil || limit == nil {
		return nil, err
	}
	if requests, err := conf.FieldString(cfFieldRateLimit); err != nil {
		return nil, err
	} else if requests == limit.label {
		return nil, fmt.Errorf("%s: %q is the %s of requests already: a call would count twice, once with its request; use two resources", dfFieldCallLimit, requests, cfFieldRateLimit)
	}
	limit.reportTo(why.own(words.CauseCallRateLimit))
	return &dialer.CallLimit{Ask: limit.ask, Waits: limit.waits}, nil
}

// dialOptions reads the options of a dialer that the fields of all say.
func dialOptions(conf *service.ParsedConfig, client clientConfig) (o dialer.Options, err error) {
	if o.Settle, err = conf.FieldDuration(dfFieldSettle); err != nil {
		return o, err
	}
	if o.Settle < 0 {
		return o, fmt.Errorf("%s: must not be negative", dfFieldSettle)
	}
	if o.Window, err = positiveDuration(conf, dfFieldDedupeWindow); err != nil {
		return o, err
	}
	if o.MaxRejectsInARow, err = conf.FieldInt(dfFieldMaxReject); err != nil {
		return o, err
	}
	if o.MaxRejectsInARow < 0 {
		return o, fmt.Errorf("%s: must be at least 1, or 0 for any number", dfFieldMaxReject)
	}
	onUnknown, err := choice(conf, dfFieldOnUnknown, string(dialer.Hold), string(dialer.RedialAbsent))
	if err != nil {
		return o, err
	}
	o.OnUnknown = dialer.OnUnknown(onUnknown)
	if o.MaxRedials, err = conf.FieldInt(dfFieldRedials); err != nil {
		return o, err
	}
	if o.MaxRedials < 0 {
		return o, fmt.Errorf("%s: must not be negative", dfFieldRedials)
	}
	if o.DryRun, err = conf.FieldBool(dfFieldDryRun); err != nil {
		return o, err
	}
	o.Timeout = client.options.Timeout
	if open := o.LongestClaim(); o.Window <= open {
		sum := "timeout + " + dfFieldSettle
		if o.OnUnknown == dialer.RedialAbsent {
			sum += " × 2^" + dfFieldRedials
		}
		return o, fmt.Errorf("%s: %v is too short: a claim may stay open for %v (%s + 1m)", dfFieldDedupeWindow, o.Window, open, sum)
	}
	o.InitialInterval = client.options.Retry.InitialInterval
	o.MaxInterval = client.options.Retry.MaxInterval
	o.MaxElapsedTime = client.options.Retry.MaxElapsedTime
	if client.limit != nil {
		o.Wait, o.ListLimit = client.limit.wait, client.limit.label
	}
	return o, nil
}
