package dialer

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// API places calls and lists them. It is one generation of the HappyRobot API, or a
// fake. All methods are safe for concurrent use.
type API interface {
	// Place asks for these calls, which are at least one, with exactly one request, and
	// never repeats it: calls cannot be taken back. It must end soon after ctx does.
	// Call.Body is sent as it is.
	//
	// The reply may have any order, may lack calls that were created, and may have
	// others. It is matched by PlacedCall.Ref, then by a Number that is unique on both
	// sides. Without an error, an empty reply says nothing: its calls are looked up.
	//
	// What an error means for the calls is its class, happyrobot.ClassOf: an error
	// without a class may have created them all. Its Status and RetryAfter count, too.
	Place(ctx context.Context, calls []*Call) ([]PlacedCall, error)

	// List gives the calls that the API created at since or later, or at a time that
	// cannot be read, each at least once. It ends with its first error. Until ctx ends it
	// may repeat requests that fail; with once it makes each of them once. A list that
	// ends without an error has every call that the API showed when it began: an empty
	// one says that there is none.
	List(ctx context.Context, since time.Time, once bool) iter.Seq2[PlacedCall, error]

	// Newest says when the newest call was created, by the API's clock; zero if there is
	// none, or none whose time can be read. once is as List's.
	Newest(ctx context.Context, once bool) (time.Time, error)
}

// PlacedCall is a call that the API has, as a reply or a list shows it. Members that
// are missing there are zero.
type PlacedCall struct {
	ID      string          // "" if it cannot be read: the call exists, and cannot be recorded
	Ref     string          // Call.Ref; "" if the API did not hand it back
	Number  string          // that is called, in any punctuation
	Created time.Time       // by the API's clock
	Raw     json.RawMessage // the whole of it, secrets removed; nil if nobody wants it
}
