package main

import (
	"encoding/json"
	"flag"
	"strings"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// flags are all of the program's. Those of v1 that make sense for both hold for both.
type flags struct {
	address  string
	v1       callsim.Options
	faults   []callsim.Fault
	platform platformFlags
}

func newFlags(set *flag.FlagSet) *flags {
	f := &flags{}
	opts := &f.v1
	set.StringVar(&f.address, "address", "127.0.0.1:8600", "where to listen")
	set.StringVar(&opts.APIKey, "api-key", "", "the only key to accept; empty accepts any")
	set.Uint64Var(&opts.Seed, "seed", 0, "repeats a run; 0 draws one")
	set.Float64Var(&opts.Speed, "speed", 0, "how much faster than the wall calls live (default 60)")
	set.BoolVar(&opts.KeepOrder, "keep-order", false, "answer in the order of the request")
	set.IntVar(&opts.MaxBatch, "max-batch", 0, "calls a request may hold (default 100, negative for no limit)")
	set.DurationVar(&opts.Visibility, "visibility", 0, "until a new call or run is listed (default of runs 20ms, negative for none)")
	set.DurationVar(&opts.TranscriptDelay, "transcript-delay", 0, "simulated time from a call's end to its transcript (default 20s)")
	set.DurationVar(&opts.Latency, "latency", 0, "of every answer")
	set.DurationVar(&opts.CreatedResolution, "created-resolution", 0, "cut the times of creation to it, such as 1s")
	set.StringVar(&opts.Webhooks.CallURL, "hook-url", "", "who gets the hook of a use case when a call starts and ends")
	set.StringVar(&opts.Webhooks.SessionURL, "session-url", "", "who gets the event session.status_changed of calls")
	set.StringVar(&opts.Webhooks.Header, "webhook-header", "", "of the webhooks' secret (default "+callsim.HookHeader+", of the platform "+platform.WebhookHeader+")")
	set.StringVar(&opts.Webhooks.Secret, "webhook-secret", "", "sent with every webhook; empty sends none")
	set.IntVar(&opts.Webhooks.Attempts, "webhook-attempts", 0, "until a webhook that is not answered 2xx is given up (default 5, of the platform 1)")
	set.Float64Var(&opts.Webhooks.Twice, "webhook-twice", 0, "probability that a webhook is sent again although it was taken")
	set.Float64Var(&opts.Webhooks.Talks, "hook-talk", 0, "probability that the hook of a talk's end carries the talk")
	eachJSON(set, "fault", `a fault as JSON, such as {"kind":"lose_answer","probability":0.1}; may be repeated`, func(fault callsim.Fault) error {
		f.faults = append(f.faults, fault)
		return fault.Validate()
	})
	f.platform.register(set)
	return f
}

// eachJSON is a flag that may be repeated, each time with an object of known members.
func eachJSON[T any](set *flag.FlagSet, name, usage string, take func(T) error) {
	set.Func(name, usage, func(s string) error {
		d := json.NewDecoder(strings.NewReader(s))
		d.DisallowUnknownFields()
		var v T
		if err := d.Decode(&v); err != nil {
			return err
		}
		return take(v)
	})
}
