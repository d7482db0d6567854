package callfeed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// stateVersion is written into every state. A reader refuses what it does not know.
const stateVersion = 1

// Store keeps the state under a name that only one feed uses. It is not called by two
// goroutines at a time. Both methods end soon after ctx does, and do not repeat what
// fails: the feed does.
type Store interface {
	// Load answers with what was saved last. found is false, and state not looked at,
	// when nothing was; an empty state that is found is one that cannot be read. It is
	// called when a feed opens and before each further Save.
	Load(ctx context.Context) (state []byte, found bool, err error)
	// Save replaces the state. A later Load, by any process, answers with it or with a
	// newer one. After an error either may be stored, the old state or the new one, but
	// no part of one. It must not keep state, nor change it.
	Save(ctx context.Context, state []byte) error
}

// Errors of a state that must not be used, nor overwritten.
var (
	ErrNewerState      = errors.New("the cursor was written by a newer version of this program; use that version or a newer one")
	ErrUnreadableState = errors.New("the cursor cannot be read; restore it, or delete it to begin at start_from again")
	ErrTakenOver       = errors.New("another input has taken over this cursor; run one input per cursor, and label inputs that share a cache")
)

// state is what is saved. Times are Unix milliseconds; 0 is unknown.
type state struct {
	Version int       `json:"version"`
	Owner   string    `json:"owner"`
	From    int64     `json:"from"` // calls created before this are no longer listed
	Open    []openRec `json:"open"`
	Done    doneRecs  `json:"done"`
}

type openRec struct {
	ID      string            `json:"id"`
	Created int64             `json:"created,omitempty"`
	Since   int64             `json:"since,omitempty"` // where it is not Created
	Told    happyrobot.Status `json:"told,omitempty"`
	Ended   int64             `json:"ended,omitempty"`
}

// doneRecs are ids beside their times of creation: as two lists they take a third
// of the space, and of the time to write, that a list of records does.
type doneRecs struct {
	IDs     []string `json:"ids"`
	Created []int64  `json:"created"`
}

func decodeState(raw []byte) (s state, err error) {
	var v struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(raw, &v) != nil || v.Version < 1 {
		return s, ErrUnreadableState
	}
	if v.Version > stateVersion {
		return s, fmt.Errorf("%w (it has version %d, this program writes %d)", ErrNewerState, v.Version, stateVersion)
	}
	if json.Unmarshal(raw, &s) != nil || len(s.Done.IDs) != len(s.Done.Created) || s.From == 0 {
		return s, ErrUnreadableState
	}
	return s, nil
}

// bookFrom is the book of a saved state.
func bookFrom(r rules, s state) *book {
	b := newBook(r, fromMillis(s.From))
	for _, r := range s.Open {
		c := &openCall{key: r.ID, created: fromMillis(r.Created), emitted: r.Told, ended: fromMillis(r.Ended)}
		if c.since = c.created; r.Since != 0 {
			c.since = fromMillis(r.Since)
		}
		c.known, c.sinceSaved = c.created, c.since
		if c.known.IsZero() {
			c.known = c.since
		}
		// Only a scheduled call's age counts from later than its creation.
		c.later = c.ended.IsZero() && !c.created.IsZero() && c.since.After(c.created)
		c.queued = b.rules.queues && c.later // or was, until the next look
		b.open[r.ID] = c
	}
	for i, id := range s.Done.IDs {
		b.done[id] = doneCall{created: fromMillis(s.Done.Created[i])}
	}
	return b
}

// snapshot is what to save, as the JSON of a state, and how many changes it covers. It
// is written by hand: of a hundred thousand open calls many times a minute.
func (b *book) snapshot(owner string) ([]byte, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	raw := make([]byte, 0, 200+120*len(b.open)+50*len(b.done))
	raw = fmt.Appendf(raw, `{"version":%d,"owner":%q,"from":%d,"open":[`, stateVersion, owner, millis(b.from))
	for _, c := range b.open {
		raw = appendText(append(raw, `{"id":`...), c.key)
		raw = appendMember(raw, "created", millis(c.created))
		if !c.since.Equal(c.created) {
			raw = appendMember(raw, "since", millis(c.since))
		}
		if c.emitted != "" {
			raw = appendText(append(raw, `,"told":`...), string(c.emitted))
		}
		raw = append(appendMember(raw, "ended", millis(c.ended)), '}', ',')
	}
	raw = append(endOfList(raw), `],"done":{"ids":[`...)
	created := make([]int64, 0, len(b.done))
	for id, d := range b.done {
		raw = append(appendText(raw, id), ',')
		created = append(created, millis(d.created))
	}
	raw = append(endOfList(raw), `],"created":[`...)
	for _, ms := range created {
		raw = append(strconv.AppendInt(raw, ms, 10), ',')
	}
	return append(endOfList(raw), `]}}`...), b.changes
}

// appendText appends a text as JSON.
func appendText(raw []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string is never refused
			return append(raw, quoted...)
		}
	}
	return append(append(append(raw, '"'), s...), '"')
}

// appendMember appends a member of an object that is not the first, unless it is zero.
func appendMember(raw []byte, name string, value int64) []byte {
	if value == 0 {
		return raw
	}
	return strconv.AppendInt(append(append(append(raw, `,"`...), name...), `":`...), value, 10)
}

// endOfList drops the comma after the last item.
func endOfList(raw []byte) []byte { return bytes.TrimSuffix(raw, []byte{','}) }

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
