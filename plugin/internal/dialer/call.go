package dialer

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// RefMember is the member of a call's metadata that carries our reference. The
// API is expected to hand it back as metadata.custom.dial_ref.
const RefMember = "dial_ref"

// Call is one call to place.
type Call struct {
	Ref         string // digest of the dedupe key: the call's name in the ledger and at the API
	Fingerprint string // digest of the request: the same key with another one is a conflict
	Request     happyrobot.EncodedCall
}

// NewCall marks a request with the reference that its dedupe key stands for. An
// empty key means that equal requests are the same call. The caller's metadata
// is not changed. size is that of the request as JSON, in bytes.
func NewCall(dedupeKey string, request happyrobot.OutboundCall) (call Call, size int, err error) {
	if _, theirs := request.Metadata[RefMember]; theirs {
		request.Metadata = maps.Clone(request.Metadata)
		delete(request.Metadata, RefMember) // the name is ours
	}
	encoded, err := request.Encode()
	if err != nil {
		return Call{}, 0, fmt.Errorf("encoding the call: %w", err)
	}
	fingerprint := digest("call\x00", encoded.Bytes())
	ref := fingerprint
	if dedupeKey != "" {
		ref = digest("key\x00", []byte(dedupeKey))
	}
	return Call{Ref: ref, Fingerprint: fingerprint, Request: encoded.Mark(RefMember, ref)}, len(encoded.Bytes()), nil
}

// digest is 128 bits of SHA-256: short enough for a cache key and for metadata,
// and it gives away no key, which may be a phone number.
func digest(kind string, text []byte) string {
	sum := sha256.Sum256(append([]byte(kind), text...))
	return hex.EncodeToString(sum[:16])
}

// Outcome is what became of a call, in one word.
type Outcome string

// Outcomes of a dial.
const (
	Accepted  Outcome = "accepted"  // the API has the call
	Duplicate Outcome = "duplicate" // the ledger knew the call already; no request was made
	Rejected  Outcome = "rejected"  // this one call is refused
	Held      Outcome = "held"      // it may have been placed, and nothing proves either way
	DryRun    Outcome = "dry_run"   // not sent, as asked
)

// Reasons of a Rejected or Held call that this package gives.
const (
	ReasonConflict = "dedupe_conflict" // the dedupe key was used for another call
	ReasonRefused  = "refused"         // the API refused this call
	ReasonGaveUp   = "gave_up"         // retry.max_elapsed_time passed before it could be sent
	ReasonUnknown  = "unknown"         // sent, not answered, not found
)

// Result of one call. An empty Outcome means undecided: the context ended first,
// and dialing the same call again later is safe.
type Result struct {
	Outcome    Outcome
	Reason     string
	CallID     string
	HTTPStatus int             // of the answer that decided, 0 when there was none
	Call       json.RawMessage // the call as the API reported it, secrets removed; nil for a duplicate
	Err        error           // an *Error, for Rejected and Held
}
