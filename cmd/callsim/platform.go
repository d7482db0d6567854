package main

import (
	"flag"
	"strings"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// platformFlags are those of the platform alone.
type platformFlags struct {
	opts     platform.Options
	answers  string
	expires  time.Duration
	faults   []platform.Fault
	fates    []decidedFate
	arrivals []platform.Arrival
}

// decidedFate is a fate with the value that a payload has to have for it.
type decidedFate struct {
	Value string `json:"value"`
	platform.Fate
}

func (p *platformFlags) register(set *flag.FlagSet) {
	o := &p.opts
	eachJSON(set, "platform-workflow", `a workflow as JSON, such as {"slug":"reminders","trigger":"predefined_request","columns":"late"}; may be repeated (default `+platform.DefaultWorkflow+`)`,
		func(w platform.Workflow) error {
			o.Workflows = append(o.Workflows, w)
			return platform.Options{Workflows: o.Workflows}.Validate()
		})
	set.StringVar(&o.Role, "platform-role", "", "of the key: owner (default) or viewer, which may start nothing")
	set.DurationVar(&p.expires, "platform-key-expires", 0, "how long from now the key is valid; 0 is for ever")
	set.StringVar(&p.answers, "platform-answers", "", "forms of a trigger's answer, drawn for each, with a comma between them: run_id, queued_run_ids, both, two, none (default the first three)")
	set.IntVar(&o.Concurrent, "platform-concurrent", 0, "runs at a time, the others wait as scheduled (default 100, negative for no limit)")
	set.DurationVar(&o.OutputDelay, "platform-output-delay", 0, "simulated time from a run's end to the outputs of its last nodes (default 10s, negative for none)")
	set.DurationVar(&o.RecordingDelay, "platform-recording-delay", 0, "simulated time from a session's end to its recording (default 20s, negative for none)")
	set.DurationVar(&o.Retention, "platform-retention", 0, "simulated time from a run's end until its data is deleted; 0 is never")
	set.IntVar(&o.RateLimit, "platform-rate-limit", 0, "requests a second, further ones are refused with 429; 0 is none")
	set.DurationVar(&o.ClockSkew, "platform-clock-skew", 0, "the platform's clock less this machine's")
	set.StringVar(&o.Date, "platform-date", "", "header Date of every answer: empty is the platform's clock, wall a proxy's, none leaves it out, else as it is")
	set.BoolVar(&o.Lenient, "platform-lenient", false, "pass over what the description does not know; it is refused otherwise")
	set.BoolVar(&o.CutPages, "platform-cut-pages", false, "cut a page_size above the maximum; it is refused otherwise")
	set.BoolVar(&o.ExclusiveDates, "platform-exclusive-dates", false, "start_date, end_date and the like leave out their own moment")
	set.BoolVar(&o.SnakePages, "platform-snake-pages", false, "snake_case pages also in lists of runs")
	set.BoolVar(&o.Wrapped, "platform-wrapped", false, "a workflow stands in data")
	set.StringVar(&o.HookHost, "platform-hook-host", "", "the only Host, with its port, at which hooks are; others redirect to a login page; empty is any")
	set.StringVar(&o.Webhooks.SessionURL, "platform-session-url", "", "who gets the event session.status_changed of runs")
	set.StringVar(&o.Webhooks.CallbackURL, "platform-callback-url", "", "who gets the post of a Webhook node at the end of each run")
	set.StringVar(&o.Webhooks.CallbackField, "platform-callback-field", "", "member of the payload that says who gets it instead, such as callback_url")
	set.StringVar(&o.Webhooks.RunIDPath, "platform-run-id-path", "", "dotted path of the run's id in that post (default run_id)")
	set.Float64Var(&o.Webhooks.Lost, "platform-webhook-lost", 0, "probability that a webhook is never sent")
	set.Float64Var(&o.Webhooks.Late, "platform-webhook-late", 0, "probability that a webhook is sent behind later ones")
	set.DurationVar(&o.Webhooks.LateBy, "platform-webhook-late-by", 0, "by how much then (default 200ms)")
	eachJSON(set, "platform-fault", `a fault as JSON, such as {"kind":"error_after","probability":0.1}; may be repeated`, func(f platform.Fault) error {
		p.faults = append(p.faults, f)
		return f.Validate()
	})
	eachJSON(set, "platform-fate", `how runs go that hold a value, such as {"value":"+12025550101","sessions":["missed","completed"]}; without a value every run; may be repeated`,
		func(f decidedFate) error {
			p.fates = append(p.fates, f)
			return f.Validate()
		})
	eachJSON(set, "platform-arrival", `runs that are there already, such as {"count":50000,"ago":"50000s","every":"1s"}; may be repeated, from the oldest on`, func(a platform.Arrival) error {
		p.arrivals = append(p.arrivals, a)
		return nil
	})
}

// options are those of the platform, with what it has in common with v1.
func (p *platformFlags) options(shared callsim.Options) (platform.Options, error) {
	o := p.opts
	o.APIKey, o.Seed, o.Speed, o.Latency = shared.APIKey, shared.Seed, shared.Speed, shared.Latency
	o.Visibility, o.CreatedResolution = shared.Visibility, shared.CreatedResolution
	o.Webhooks.Header, o.Webhooks.Secret = shared.Webhooks.Header, shared.Webhooks.Secret
	o.Webhooks.Attempts, o.Webhooks.Twice = shared.Webhooks.Attempts, shared.Webhooks.Twice
	if p.expires > 0 {
		o.KeyExpires = time.Now().Add(p.expires)
	}
	if p.answers != "" {
		for form := range strings.SplitSeq(p.answers, ",") {
			o.Answers = append(o.Answers, platform.Answer(strings.TrimSpace(form)))
		}
	}
	return o, o.Validate()
}

// prepare gives a new platform the runs, fates and faults of the flags.
func (p *platformFlags) prepare(sim *platform.Sim) error {
	for _, f := range p.fates {
		sim.Decide(f.Value, f.Fate)
	}
	for _, a := range p.arrivals {
		if _, err := sim.Arrive(a); err != nil {
			return err
		}
	}
	for _, f := range p.faults {
		sim.Inject(f)
	}
	return nil
}
