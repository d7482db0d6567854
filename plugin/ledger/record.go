package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const recordVersion = 1

type state string

const (
	stateClaimed state = "claimed"
	stateCalled  state = "called"
	stateHeld    state = "held"
	stateVoid    state = "void"
)

// record is one attempt as it stands in the cache, as JSON: people read it there.
type record struct {
	Version     int       `json:"v"`
	State       state     `json:"state"`
	Token       string    `json:"owner"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	At          time.Time `json:"at"` // when it was claimed
	CallID      string    `json:"call_id,omitempty"`
}

func (r record) encode() []byte {
	b, err := json.Marshal(r)
	if err != nil { // strings and a time: only a year beyond 9999 gets here
		panic(fmt.Sprintf("encoding a ledger record: %v", err))
	}
	return b
}

var errUnreadable = errors.New("unreadable ledger record")

// decodeRecord refuses what it does not fully understand: a record that was cut
// by a crash, or written by a newer version, is an attempt in doubt, never a
// reason to dial or to believe in a call.
func decodeRecord(b []byte) (record, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return record{}, fmt.Errorf("%w: %w", errUnreadable, err)
	}
	switch {
	case r.Version != recordVersion:
		return record{}, fmt.Errorf("%w: version %d, this program writes version %d", errUnreadable, r.Version, recordVersion)
	case r.State == stateCalled && r.CallID == "":
		return record{}, fmt.Errorf("%w: called, but no call id", errUnreadable)
	case r.State != stateClaimed && r.State != stateCalled && r.State != stateHeld && r.State != stateVoid:
		return record{}, fmt.Errorf("%w: unknown state", errUnreadable)
	case r.At.IsZero():
		return record{}, fmt.Errorf("%w: no time", errUnreadable)
	}
	return r, nil
}

func key(ref string, attempt int) string {
	if attempt == 1 {
		return ref
	}
	return ref + "/" + strconv.Itoa(attempt)
}
