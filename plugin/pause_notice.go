package plugin

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// lookUps is what look-ups wait for, beside the causes of pauses: a hook has its own host.
const lookUps = "look_ups"

// pauses reports why a component that dials is paused: in the log, with a notice for
// each cause, and as a metric.
type pauses struct {
	log   *service.Logger
	gauge *pausedGauge

	mu      sync.Mutex
	notices map[string]*pause.Notice
	limits  []*pause.Notice // of limits of our own
	lookUps *pause.Notice
	looked  func() (calls int)             // that are being looked up; nil before the first dial
	where   map[string]string              // what is waited for, by cause, such as a URL
	waiting func(cause string) (calls int) // nil before the first dial
	records map[string]func() int          // records that wait to be written, by cause
}

func newPauses(res *service.Resources, component string, unit *dialUnit) *pauses {
	p := &pauses{
		log: res.Logger(), gauge: newPausedGauge(res, component),

		notices: map[string]*pause.Notice{}, where: map[string]string{}, records: map[string]func() int{},
	}
	// Other calls may still be dialed meanwhile, so this is not said to be a pause.
	p.lookUps = pause.NewNotice(p.log, pause.Wording{
		Begins: "Cannot look up " + unit.is.Call + "s with an unknown outcome; they wait: %v",
		Lasts:  "Still cannot look up " + unit.is.Call + "s with an unknown outcome, since %s; they wait: %v",
		Ends:   strings.ToUpper(unit.is.Call[:1]) + unit.is.Call[1:] + "s with an unknown outcome can be looked up again, after %v.",
		More:   p.moreOfLookUps,
	}, p.gauge.counts(string(dialer.Unanswered)))
	return p
}

// notice is the one for a cause.
func (p *pauses) notice(cause string) *pause.Notice {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.notices[cause]
	if n == nil {
		n = p.newNotice(cause, func(since time.Time) string {
			p.mu.Lock()
			where := p.where[cause]
			p.mu.Unlock()
			return p.more(cause, where, since)
		})
		p.notices[cause] = n
	}
	return n
}

// own makes a notice for a limit of our own with a cause: that is named in the reason, and
// what is waited for with the cause otherwise, such as the API, has no part in it.
func (p *pauses) own(cause string) *pause.Notice {
	n := p.newNotice(cause, func(since time.Time) string { return p.more(cause, "", since) })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = append(p.limits, n)
	return n
}

func (p *pauses) newNotice(cause string, more func(since time.Time) string) *pause.Notice {
	return pause.NewNotice(p.log, pause.Wording{
		Begins: "Dialing paused (" + cause + "): %v",
		Lasts:  "Dialing still paused (" + cause + "), since %s: %v",
		Ends:   "Dialing resumed (" + cause + ") after %v.",
		More:   more,
	}, p.gauge.counts(cause))
}

// moreOfLookUps says where calls are looked up, and how many of them.
func (p *pauses) moreOfLookUps(since time.Time) string {
	p.mu.Lock()
	where, looked := p.where[lookUps], p.looked
	p.mu.Unlock()
	n := 0
	if looked != nil {
		n = looked()
	}
	return waits(where, n, since) + "."
}

// more says where the trouble is, how many messages wait and for how long they do.
func (p *pauses) more(cause, where string, since time.Time) string {
	p.mu.Lock()
	records, waiting := p.records[cause], p.waiting
	p.mu.Unlock()
	n := 0
	switch {
	case records != nil:
		n = records()
	case waiting != nil:
		n = waiting(cause)
	}
	text := waits(where, n, since)
	if cause == words.CauseRefusals {
		return text + "; one is tried after each pause, and fails if it is refused again."
	}
	return text + ", none of them fails."
}

// waits says that messages wait, where for, and for how long.
func waits(where string, n int, since time.Time) string {
	var b strings.Builder
	if where != "" {
		b.WriteString(" (" + where + ")")
	}
	switch n {
	case 0:
		b.WriteString(". Messages wait")
	case 1:
		b.WriteString("; 1 message waits")
	default:
		fmt.Fprintf(&b, "; %d messages wait", n)
	}
	if age := time.Since(since).Round(time.Second); age > 0 {
		fmt.Fprintf(&b, ", for %v now", age)
	}
	return b.String()
}

// waitFor says what is waited for with a cause.
func (p *pauses) waitFor(what string, causes ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cause := range causes {
		p.where[cause] = what
	}
}

// count says how many calls wait for a cause.
func (p *pauses) count(waiting func(cause string) (calls int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = waiting
}

// countLookUps says how many calls are being looked up.
func (p *pauses) countLookUps(looked func() int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looked = looked
}

// countRecords says how many records wait to be written with a cause.
func (p *pauses) countRecords(cause string, waiting func() int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records[cause] = waiting
}

// close ends all notices: the component stops, and nothing waits any more.
func (p *pauses) close() {
	p.mu.Lock()
	all := append([]*pause.Notice{p.lookUps}, p.limits...)
	for _, n := range p.notices {
		all = append(all, n)
	}
	p.mu.Unlock()
	for _, n := range all {
		n.Stop()
	}
	p.gauge.close()
}
