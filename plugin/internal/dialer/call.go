package dialer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Call is one call to place.
type Call struct {
	Rejection *Result // of a message that makes no valid call: nothing else of it is set, and it is the result

	Key         string // the call's name in the ledger; "" is Ref
	Ref         string // its name at the API
	Fingerprint string // of its contents: the same reference with another one is a conflict
	Number      string // that is called, "" if only the API knows it
	Body        []byte // what the API is sent, with Ref in it; it is never changed
	Facts       any    // what guards need to know about the lead besides; the dialer does not read it
}

// Identify names a call in the ledger, after its dedupe key, or after its contents if the
// key is empty: equal contents are then the same call. contents must be without the
// reference, and equal for equal calls.
func Identify(dedupeKey string, contents []byte) (key, fingerprint string) {
	fingerprint = digest("call\x00", contents)
	if dedupeKey == "" {
		return fingerprint, fingerprint
	}
	return digest("key\x00", []byte(dedupeKey)), fingerprint
}

// Reference is the name at the API of a call with this key in the ledger. Without a salt
// it is the key. With one it is a keyed digest, from which nobody else can find the key,
// which may be that of a phone number.
func Reference(key, salt string) string {
	if salt == "" {
		return key
	}
	mac := hmac.New(sha256.New, []byte(salt))
	mac.Write([]byte(key))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

// key is the call's name in the ledger.
func (c *Call) key() string {
	if c.Key == "" {
		return c.Ref
	}
	return c.Key
}

// dial is the call as the ledger knows it.
func (c *Call) dial() ledger.Dial {
	return ledger.Dial{Key: c.key(), Ref: c.Ref, Fingerprint: c.Fingerprint}
}

// digest is 128 bits of SHA-256: short enough for a cache key and for metadata,
// and it gives away no key, which may be a phone number.
func digest(kind string, text []byte) string {
	sum := sha256.Sum256(append([]byte(kind), text...))
	return hex.EncodeToString(sum[:16])
}

// Outcome is what became of a call, in one word.
type Outcome string

// Outcomes of a dial. Guards may give others.
const (
	Accepted  Outcome = words.Accepted  // the API has the call
	Duplicate Outcome = words.Duplicate // the ledger knew the call already; no request was made
	Conflict  Outcome = words.Conflict  // the ledger knows a call with other contents under its key
	Rejected  Outcome = words.Rejected  // this one call is refused
	Held      Outcome = words.Held      // it may have been placed, and nothing proves either way
	DryRun    Outcome = words.DryRun    // not sent, as asked
)

// Reasons of a call that failed which this package gives.
const (
	ReasonConflict         = words.DedupeConflict   // the dedupe key was used for another call
	ReasonRefused          = words.Refused          // the API refused this call
	ReasonGaveUp           = words.GaveUp           // retry.max_elapsed_time passed before it could be sent
	ReasonUnknown          = words.Unknown          // sent, not answered, not found
	ReasonNotLookedUp      = words.NotLookedUp      // sent, not answered, and the list could not be read
	ReasonClaimedElsewhere = words.ClaimedElsewhere // another process may have placed it
)

// Result of one call. An empty Outcome means undecided: the context ended first,
// and dialing the same call again later is safe.
type Result struct {
	Outcome    Outcome
	Reason     string
	CallID     string
	More       []string        // further ids that the API gave for it, of a call that was just accepted
	Ref        string          // under which the API has the call, if that is not Call.Ref
	HTTPStatus int             // of the answer that decided, 0 when there was none
	Call       json.RawMessage // the call as the API reported it, secrets removed; nil for a duplicate
	Err        error           // an *Error, for a call that failed

	// What a guard said that refused the call. Times are RFC 3339, "" if they are not known.
	Rule        string // that decided
	NextAllowed string // when the call may be placed
	LocalTime   string // where the phone was, with its zone's offset

	WouldFail error // an *Error: the failure that a dry run foresees; nil if it foresees none
}
