package callfeed

import (
	"fmt"
	"sync"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// notices are what the feed's loop has to say. Trouble is reported when it starts,
// while it lasts, and when it ends; facts about the API are reported once.
type notices struct {
	listing *pause.Notice // the list of calls cannot be read
	calls   *pause.Notice // open calls cannot be read by themselves
	parts   *pause.Notice // what belongs to calls that are over cannot be read
	backlog *pause.Notice // too many calls are open

	facts, statuses once
}

func newNotices(log Logger) notices {
	return notices{
		listing: pause.NewNotice(log, pause.Wording{
			Begins: "Listing calls failed; retrying, nothing is lost: %v",
			Lasts:  "Listing calls still fails, since %s; retrying, nothing is lost: %v",
			Ends:   "Listing calls works again, after %v.",
		}, nil),
		calls: pause.NewNotice(log, pause.Wording{
			Begins: "Cannot read %v",
			Lasts:  "Still cannot read calls, since %s: %v",
			Ends:   "Open calls can be read again, after %v.",
		}, nil),
		parts: pause.NewNotice(log, pause.Wording{
			Begins: "Cannot read the transcript or other parts of %v",
			Lasts:  "Still cannot read the transcript or other parts of calls, since %s: %v",
			Ends:   "Transcripts and other parts of calls can be read again, after %v.",
		}, nil),
		backlog: pause.NewNotice(log, pause.Wording{
			Begins: "No new calls are listed until some of the open ones are over: %v.",
			Lasts:  "Still no new calls are listed, since %s, until some of the open ones are over: %v.",
			Ends:   "New calls are listed again, after %v.",
		}, nil),
		facts:    once{log: log},
		statuses: once{log: log},
	}
}

// unread is why something of a call could not be read, as the log has it.
func unread(key string, err error) error {
	return fmt.Errorf("call %s (and possibly others); retrying: %w", key, err)
}

// stop ends all trouble without a word.
func (n *notices) stop() {
	for _, notice := range []*pause.Notice{n.listing, n.calls, n.parts, n.backlog} {
		notice.Stop()
	}
}

// Facts about the API.
const (
	namelessWarning  = "A call without an id is listed. It is emitted only if it is listed when it is over, since it cannot be read by itself."
	expiredWarning   = "Stopped watching call %s: it was not over after max_call_age. (Reported for one call; all are counted in happyrobot_calls_dropped.)"
	reorderedWarning = "The list of calls changes its order from page to page. It is read again and again; calls come late."
	undatedWarning   = "Calls without a date of creation are listed; they are emitted like others."
	clockWarning     = "Calls are created in the future by this machine's clock: the clocks differ, or a date is wrong. Nothing is lost, but more calls are listed again each time."
	unsortedWarning  = "The list of calls is not sorted by date of creation. It is read from its start until it ends."
	noStatusWarning  = "A call without a status is listed. Such calls are watched until they have one."
	statusWarning    = "Calls have the status %q, which is not documented. They are watched until it changes. If it means that a call is over, list it in `statuses`, together with all others that you want."
)

// unknownStatus warns of a status that is not documented.
func (n *notices) unknownStatus(s happyrobot.Status) {
	if s == "" {
		n.facts.warn(noStatusWarning)
		return
	}
	n.statuses.warnOf(string(s), statusWarning, happyrobot.Excerpt(string(s)))
}

// maxTopics bounds what an API can make this process remember and log.
const maxTopics = 100

// once warns once of each topic, and of so many at most.
type once struct {
	log  Logger
	mu   sync.Mutex
	told map[string]struct{}
}

// warn gives a warning that is its own topic.
func (o *once) warn(warning string, args ...any) { o.warnOf(warning, warning, args...) }

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
