package plugin

import (
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// pauses reports why a component that dials is paused: in the log, with a notice for
// each cause, and as a metric.
type pauses struct {
	log    *service.Logger
	paused *service.MetricGauge // happyrobot_paused{cause}
	onHold *service.MetricGauge // its older name, for the API's causes

	mu      sync.Mutex
	notices map[string]*pause.Notice
	lookUps *pause.Notice
	waiting map[string]int // notices in trouble, by cause
}

func newPauses(res *service.Resources) *pauses {
	p := &pauses{
		log:    res.Logger(),
		paused: res.Metrics().NewGauge(words.MetricPaused, "cause"),
		onHold: res.Metrics().NewGauge(words.MetricDialOnHold),

		notices: map[string]*pause.Notice{}, waiting: map[string]int{},
	}
	// From the start, so that an alert on it can tell "not paused" from "not there".
	for _, cause := range words.Causes {
		p.paused.Set(0, cause.Name)
	}
	p.onHold.Set(0)
	// Other calls may still be dialed meanwhile, so this is not said to be a pause.
	p.lookUps = pause.NewNotice(p.log, pause.Wording{
		Begins: "Cannot look up calls with an unknown outcome; they wait: %v",
		Lasts:  "Still cannot look up calls with an unknown outcome, since %s; they wait: %v",
		Ends:   "Calls with an unknown outcome can be looked up again, after %v.",
	}, p.counts(string(dialer.Unanswered)))
	return p
}

// notice is the one for a cause.
func (p *pauses) notice(cause string) *pause.Notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.notices[cause]
	if n == nil {
		meanwhile := "Messages wait, none of them fails."
		if cause == words.CauseRefusals {
			meanwhile = "Messages wait; one is tried after each pause, and fails if it is refused again."
		}
		n = pause.NewNotice(p.log, pause.Wording{
			Begins: "Dialing paused (" + cause + "): %v. " + meanwhile,
			Lasts:  "Dialing still paused (" + cause + "), since %s: %v",
			Ends:   "Dialing resumed (" + cause + ") after %v.",
		}, p.counts(cause))
		p.notices[cause] = n
	}
	return n
}

// counts keeps the metrics: several notices may be of one cause.
func (p *pauses) counts(cause string) func(inTrouble bool) {
	return func(inTrouble bool) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if inTrouble {
			p.waiting[cause]++
		} else {
			p.waiting[cause]--
		}
		p.paused.Set(int64(min(p.waiting[cause], 1)), cause)
		api := p.waiting[string(dialer.Setup)] + p.waiting[string(dialer.RateLimited)] + p.waiting[string(dialer.Unanswered)]
		p.onHold.Set(int64(min(api, 1)))
	}
}

// close ends all notices: the component stops, and nothing waits any more.
func (p *pauses) close() {
	p.mu.Lock()
	all := []*pause.Notice{p.lookUps}
	for _, n := range p.notices {
		all = append(all, n)
	}
	p.mu.Unlock()
	for _, n := range all {
		n.Stop()
	}
}
