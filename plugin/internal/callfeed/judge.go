package callfeed

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Outcomes of an event.
const (
	Complete = words.Complete // the call is over, and all that was asked for is there
	NotReady = words.NotReady // the call is not over, or a part of it did not come in time
	Expired  = words.Expired  // after MaxAge its status is still a word that nobody documents
)

// Reasons for giving an open call up.
const (
	dropDeleted = words.Deleted
	dropExpired = words.Expired
)

// maxPause is the longest time between two looks at an open call.
const maxPause = 30 * time.Minute

// pause is how long an open call is left alone: a tenth of the time since it was
// due, or until then, so that its end is told late by no more than a tenth of its
// age. Calls of the latest listings are seen in the next one sooner than this.
func (f *Feed) pause(since, now time.Time) time.Duration {
	d := now.Sub(since)
	p := min(d.Abs()/10, maxPause)
	if d < 0 {
		p = min(p, -d)
	}
	return max(p, 2*f.opts.Poll)
}

// identity is what a call is remembered by. Without an id only what it says is left.
func identity(call happyrobot.Call) string {
	if call.ID != "" {
		return call.ID
	}
	sum := sha256.Sum256(call.Raw)
	return "sha256:" + hex.EncodeToString(sum[:12])
}

// listed judges a call that a listing of those created since from shows.
func (f *Feed) listed(call happyrobot.Call, from, now time.Time) *Event {
	id := identity(call)
	b := f.book
	b.mu.Lock()
	defer b.mu.Unlock()
	if d, done := b.done[id]; done {
		if d.pass != b.pass {
			d.pass = b.pass
			b.done[id] = d
		}
		return nil
	}
	c := b.open[id]
	if c == nil {
		// The bounds of a list are not documented: what was asked for is compared here.
		if !call.Created.IsZero() && call.Created.Before(from) {
			return nil
		}
		if call.ID == "" {
			f.tell("id", "A call without an id is listed; it can only be told when it is over, and not be looked at.")
			if !f.over(call.Status) {
				return nil
			}
		}
		c = &openCall{id: id, created: call.Created, since: call.Created}
		if c.since.IsZero() {
			c.since = now
		}
		c.sinceSaved = c.since
		b.open[id] = c
		b.changes++
	}
	if c.claimed || c.hold.After(now) {
		return nil
	}
	return f.judge(c, call, now)
}

// looked judges a claimed call that was read by itself.
func (f *Feed) looked(c *openCall, call happyrobot.Call, now time.Time) *Event {
	f.book.mu.Lock()
	defer f.book.mu.Unlock()
	c.claimed, c.fails = false, false
	return f.judge(c, call, now)
}

// judge says what an observed call is to be told as, and claims it for that; nil
// is nothing now. The caller holds the book's lock.
func (f *Feed) judge(c *openCall, call happyrobot.Call, now time.Time) *Event {
	s, quietSince := call.Status, c.since
	c.missed, c.seen = time.Time{}, nil
	if !s.Known() {
		f.tellStatus(s)
	}
	if s.Is(happyrobot.StatusScheduled) {
		since := scheduledFor(call)
		if since.IsZero() {
			since = now // it may be due any day
		} else {
			quietSince = since
		}
		c.since = since
		// A saved state need not follow each look at a call that is due some day.
		if since.Sub(c.sinceSaved).Abs() > 10*time.Minute {
			c.sinceSaved = since
			f.book.changes++
		}
	}
	wanted := len(f.opts.Statuses) == 0 || s.In(f.opts.Statuses)
	switch {
	case f.over(s):
		if !wanted {
			f.book.finish(c)
			return nil
		}
		c.claimed = true
		return f.event(c, call, Complete)
	case now.Sub(c.since) > f.opts.MaxAge:
		return f.expire(c, call, wanted)
	case f.opts.Changes && !s.Is(c.told): // another spelling is no change
		if wanted {
			c.claimed = true
			return f.event(c, call, NotReady)
		}
		c.told = s
		f.book.changes++
	}
	c.next = now.Add(f.pause(quietSince, now))
	return nil
}

// over says whether a call with this status is: by its word, or because the user
// waits for a word that is not documented.
func (f *Feed) over(s happyrobot.Status) bool {
	return s.Final() || !s.Known() && s.In(f.opts.Statuses)
}

// expire gives up waiting for the end of a call. With a status that is not
// documented it may well be over, so it is told; Changes has told it already.
func (f *Feed) expire(c *openCall, call happyrobot.Call, wanted bool) *Event {
	if !call.Status.Known() && !f.opts.Changes && wanted {
		c.claimed = true
		return f.event(c, call, Expired)
	}
	f.book.finish(c)
	f.drop(dropExpired)
	f.tell("expired", "A call was not over after max_call_age and is watched no more (told once, counted in happyrobot_calls_dropped): "+c.id)
	return nil
}

func (f *Feed) event(c *openCall, call happyrobot.Call, outcome string) *Event {
	return &Event{Call: call, Outcome: outcome, Previous: c.told, feed: f, open: c}
}

func scheduledFor(call happyrobot.Call) time.Time {
	var m struct {
		ScheduledFor string `json:"scheduled_for"`
	}
	_ = json.Unmarshal(call.Raw, &m) // another type is no date
	due, _ := time.Parse(time.RFC3339, m.ScheduledFor)
	return due
}

// tell logs a warning once for each topic.
func (f *Feed) tell(topic, warning string) {
	if _, told := f.told.LoadOrStore(topic, true); !told {
		f.opts.Log.Warnf("%s", warning)
	}
}

// maxToldStatuses bounds what an API can make this process remember and log.
const maxToldStatuses = 100

func (f *Feed) tellStatus(s happyrobot.Status) {
	if f.toldStatuses.Load() >= maxToldStatuses {
		return
	}
	if _, told := f.told.LoadOrStore("status "+string(s), true); told {
		return
	}
	f.toldStatuses.Add(1)
	if s == "" {
		f.opts.Log.Warnf("A call without a status is listed. Such calls are watched until they have one.")
		return
	}
	f.opts.Log.Warnf("Calls have the status %q, which is not documented. They are watched until it changes. If it means that a call is over, list it in `statuses`, together with all others that you want.", happyrobot.Excerpt(string(s)))
}
