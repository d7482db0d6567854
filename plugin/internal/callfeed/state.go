package callfeed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// stateVersion is written into every state. A reader refuses what it does not know.
const stateVersion = 1

// Store keeps the state.
type Store interface {
	// Load gives what was saved, and false when nothing ever was.
	Load(ctx context.Context) (state []byte, found bool, err error)
	Save(ctx context.Context, state []byte) error
}

// Errors of a state that must not be used, nor overwritten.
var (
	ErrNewerState      = errors.New("the cursor was written by a newer version of this program; run that version, or one that is newer")
	ErrUnreadableState = errors.New("the cursor cannot be read; restore it, or delete it to begin at start_from again")
	ErrTakenOver       = errors.New("another happyrobot_calls input took this cursor over; run one input for each cursor, and give inputs that share a cache a label each")
)

// state is what is saved. Times are Unix milliseconds; 0 is unknown.
type state struct {
	Version int       `json:"version"`
	Owner   string    `json:"owner"`
	From    int64     `json:"from"` // calls created before it are listed no more
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
