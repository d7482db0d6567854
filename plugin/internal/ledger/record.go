package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	Ref         string    `json:"ref,omitempty"` // that the API was sent; "" is the key of the dial
	At          time.Time `json:"at"`            // when it was claimed
	CallID      string    `json:"call_id,omitempty"`

	// Versions that do not know these leave them out, and read the rest.
	Sent    int  `json:"sent,omitempty"`    // of a second attempt or a later one, see Standing; 0 if its writer did not know
	Refused bool `json:"refused,omitempty"` // held: the answer was a refusal
	Shown   bool `json:"shown,omitempty"`   // held: the API showed the call, without an id

	Uncounted bool `json:"uncounted,omitempty"` // held: the attempt does not count in Standing.Sent
}

// sent is the reference that the API was sent with an attempt of a dial.
func (r record) sent(dial string) string {
	if r.Ref == "" {
		return dial
	}
	return r.Ref
}

// ours says whether a record is of this process.
func (r record) ours() bool { return strings.HasPrefix(r.Token, owner+"-") }

// process is a name of the process that wrote a record, short enough for a log.
func (r record) process() string {
	process, _, _ := strings.Cut(r.Token, "-")
	return process[:min(len(process), 8)]
}

func (r record) encode() []byte {
	b := make([]byte, 0, 192)
	b = strconv.AppendInt(append(b, `{"v":`...), int64(r.Version), 10)
	b = appendMember(b, "state", string(r.State))
	b = appendMember(b, "owner", r.Token)
	if r.Fingerprint != "" {
		b = appendMember(b, "fingerprint", r.Fingerprint)
	}
	if r.Ref != "" {
		b = appendMember(b, "ref", r.Ref)
	}
	b = append(r.At.AppendFormat(append(b, `,"at":"`...), time.RFC3339Nano), '"')
	if r.CallID != "" {
		b = appendMember(b, "call_id", r.CallID)
	}
	if r.Sent > 0 {
		b = strconv.AppendInt(append(b, `,"sent":`...), int64(r.Sent), 10)
	}
	if r.Refused {
		b = append(b, `,"refused":true`...)
	}
	if r.Shown {
		b = append(b, `,"shown":true`...)
	}
	if r.Uncounted {
		b = append(b, `,"uncounted":true`...)
	}
	return append(b, '}')
}

// appendMember writes one member as encoding/json does, which is slow for a record
// that is written twice for each call.
func appendMember(b []byte, name, value string) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(value) // a string can always be encoded
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), value...), '"')
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
	case r.Sent < 0:
		return record{}, fmt.Errorf("%w: sent a negative number of times", errUnreadable)
	}
	return r, nil
}

func key(dial string, attempt int) string {
	if attempt == 1 {
		return dial
	}
	return dial + "/" + strconv.Itoa(attempt)
}
