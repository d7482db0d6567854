package callfeed

import (
	"fmt"
	"strings"
	"sync"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// notices are what the feed's loop has to say. Trouble is reported when it starts,
// while it lasts, and when it ends; facts about the API are reported once.
type notices struct {
	unit    Unit
	listing trouble // the list of calls cannot be read
	calls   trouble // open calls cannot be read by themselves
	parts   trouble // what belongs to calls that are over cannot be read
	backlog trouble // too many calls are open

	facts, statuses once
}

// trouble is a notice, and the wait that goes with it.
type trouble struct {
	notice *pause.Notice
	waits  func(cause string)
}

// newTrouble makes the trouble of a feed with these options.
func newTrouble(o *Options, wording pause.Wording) trouble {
	t := trouble{notice: pause.NewNotice(o.Log, wording, nil), waits: func(string) {}}
	if o.Wait != nil {
		t.waits = o.Wait()
	}
	return t
}

// met reports it. Without a cause, nothing else waits for its end.
func (t *trouble) met(cause string, why error) {
	t.waits(cause)
	t.notice.Trouble(why)
}

func (t *trouble) over() {
	t.waits("")
	t.notice.Recovered()
}

// stop ends it without a word.
func (t *trouble) stop() {
	t.waits("")
	t.notice.Stop()
}

func newNotices(o *Options) notices {
	said := func(begins, lasts, ends string) pause.Wording {
		return pause.Wording{Begins: o.Unit.say(begins), Lasts: o.Unit.say(lasts), Ends: o.Unit.say(ends)}
	}
	return notices{
		unit: o.Unit,
		listing: newTrouble(o, said(
			"Listing {calls} failed; retrying, nothing is lost %v",
			"Listing {calls} still fails, since %s; retrying, nothing is lost %v",
			"Listing {calls} works again, after %v.",
		)),
		calls: newTrouble(o, said(
			"Cannot read %v",
			"Still cannot read {calls}, since %s: %v",
			"Open {calls} can be read again, after %v.",
		)),
		parts: newTrouble(o, said(
			"Cannot read the {part} or other parts of %v",
			"Still cannot read the {part} or other parts of {calls}, since %s: %v",
			"{Parts} and other parts of {calls} can be read again, after %v.",
		)),
		backlog: newTrouble(o, said(
			"No new {calls} are listed ("+words.CauseBacklog+") until some of the open ones are over: %v.",
			"Still no new {calls} are listed ("+words.CauseBacklog+"), since %s, until some of the open ones are over: %v.",
			"New {calls} are listed again ("+words.CauseBacklog+"), after %v.",
		)),
		facts:    once{log: o.Log},
		statuses: once{log: o.Log},
	}
}

// say puts a unit's names into a text.
func (u *Unit) say(text string) string {
	return strings.NewReplacer("{call}", u.One, "{calls}", u.Many, "{Call}", upper(u.One), "{Calls}", upper(u.Many),
		"{part}", u.Part, "{Parts}", upper(u.Parts), "{max_age}", u.MaxAge, "{dropped}", u.Dropped, "{advice}", u.Advice).Replace(text)
}

func upper(word string) string {
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// unread is why something of a call could not be read, and the cause if that is trouble
// of all.
func (f *Feed) unread(key string, err error) (cause string, why error) {
	if happyrobot.ClassOf(err).OfThisRequest() {
		return "", fmt.Errorf("%s %s (and possibly others); retrying: %w", f.opts.Unit.One, key, err)
	}
	cause = f.cause(err)
	return cause, fmt.Errorf("%s %s (and possibly others); retrying (%s): %w", f.opts.Unit.One, key, cause, err)
}

// cause is what is waited for after an error of the API.
func (f *Feed) cause(err error) string {
	if f.opts.CauseOf == nil {
		return words.CauseUnanswered
	}
	return f.opts.CauseOf(err)
}

// stop ends all trouble without a word.
func (n *notices) stop() {
	for _, notice := range []*trouble{&n.listing, &n.calls, &n.parts, &n.backlog} {
		notice.stop()
	}
}

// Facts about the API.
const (
	namelessWarning  = "A {call} without an id is listed. It is emitted only if it is listed when it is over, since it cannot be read by itself."
	expiredWarning   = "Stopped watching {call} %s: it was not over after {max_age}. (Reported for one {call}; all are counted in {dropped}.)"
	reorderedWarning = "The list of {calls} changes its order from page to page. It is read again and again; {calls} come late."
	undatedWarning   = "{Calls} without a date of creation are listed; they are emitted like others."
	clockWarning     = "{Calls} are created in the future by this machine's clock: the clocks differ, or a date is wrong. Nothing is lost, but more {calls} are listed again each time."
	unsortedWarning  = "The list of {calls} is not sorted by date of creation. It is read from its start until it ends."
	noStatusWarning  = "A {call} without a status is listed. Such {calls} are watched until they have one."
	statusWarning    = "{Calls} have the status %q, which is not documented. They are watched until it changes. {advice}"
)

// warn tells a fact once.
func (n *notices) warn(fact string, args ...any) { n.facts.warnOf(fact, n.unit.say(fact), args...) }

// unknownStatus warns of a status that is not documented.
func (n *notices) unknownStatus(s happyrobot.Status) {
	if s == "" {
		n.warn(noStatusWarning)
		return
	}
	n.statuses.warnOf(string(s), n.unit.say(statusWarning), happyrobot.Excerpt(string(s)))
}

// maxTopics bounds what an API can make this process remember and log.
const maxTopics = 100

// once warns once of each topic, and of so many at most.
type once struct {
	log  Logger
	mu   sync.Mutex
	told map[string]struct{}
}

// warnOf gives a warning, unless its topic was warned of.
func (o *once) warnOf(topic, warning string, args ...any) {
	if o.first(topic) {
		o.log.Warnf(warning, args...)
	}
}

func (o *once) first(topic string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, told := o.told[topic]; told || len(o.told) >= maxTopics {
		return false
	}
	if o.told == nil {
		o.told = map[string]struct{}{}
	}
	o.told[topic] = struct{}{}
	return true
}
