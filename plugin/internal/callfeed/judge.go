package callfeed

import (
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// rules say what is wanted of calls. What they decide depends on their arguments
// alone.
type rules struct {
	statuses     []happyrobot.Status // wanted; none is all
	changes      bool                // every status is wanted, not only the last
	poll         time.Duration
	maxAge       time.Duration
	partsTimeout time.Duration

	unreadTimeout time.Duration // 0 for partsTimeout
	queues        bool          // some calls wait in line
}

// verdict is what an observed call asks for: to be emitted, to be finished, or else
// to be watched.
type verdict struct {
	since  time.Time // what its age counts from
	later  bool      // it is scheduled for then
	queued bool      // it waits for its turn

	outcome  string // emit it as this; "" for not now
	finished bool   // it is done with
	expired  bool   // since its end was waited for too long

	// When it is watched:
	emitted happyrobot.Status // what counts as its last status emitted
	next    time.Time         // when to look at it
}

// judge decides about an observed call that is known from a time on, whose age counts from
// since, and of which the status emitted was acknowledged last.
func (r *rules) judge(known, since time.Time, emitted happyrobot.Status, call *Item, now time.Time) verdict {
	s, v := call.Status, verdict{since: since, emitted: emitted}
	if since.After(now) && !call.Later {
		v.since = now // it did not wait for its time
	}
	quietSince := v.since
	wanted := len(r.statuses) == 0 || s.In(r.statuses)
	if call.Over {
		if wanted {
			v.outcome = Complete
		} else {
			v.finished = true
		}
		return v
	}
	if v.queued = call.Queued; v.queued {
		quietSince = known // the longer it waited, the less often it is looked at
	}
	if call.Later {
		if v.since = call.Due; v.since.IsZero() {
			v.since = now // it may be due any day
		} else {
			quietSince, v.later = v.since, v.since.After(now)
		}
	}
	switch {
	case now.Sub(v.since) > r.maxAge:
		// With a status that is not documented it may well be over, so it is emitted.
		// With changes, it was already.
		if !call.Known && !r.changes && wanted {
			v.outcome = Expired
		} else {
			v.finished, v.expired = true, true
		}
	case r.changes && !s.Is(emitted): // another spelling is no change
		if wanted {
			v.outcome = NotReady
		} else {
			v.emitted = s
		}
	}
	v.next = now.Add(r.interval(quietSince, now))
	return v
}

// waits says whether an open call cannot be over yet, unless somebody cancels it: it
// is scheduled for later, and that is all there is to say of it.
func (r *rules) waits(c *openCall, now time.Time) bool {
	return c.later && c.since.After(now) && (!r.changes || c.emitted.Is(happyrobot.StatusScheduled))
}

// maxInterval is the longest time between two looks at an open call.
const maxInterval = 30 * time.Minute

// interval is how long an open call is left alone: a tenth of the time since it was
// due, or until then, so that the end of a call is reported at most 10 % of its age
// late. Calls of the latest listings are seen in the next one sooner than this.
func (r *rules) interval(since, now time.Time) time.Duration {
	d := now.Sub(since)
	p := min(d.Abs()/10, maxInterval)
	if d < 0 {
		p = min(p, -d)
	}
	return max(p, 2*r.poll)
}

// partsInterval is how long to wait before the parts of a call, which are not there
// since a time, are read again. It reports false when they were waited for long enough.
func (r *rules) partsInterval(waited, most time.Duration) (time.Duration, bool) {
	left := most - waited
	return min(max(r.poll, waited/4), left), left > 0
}
