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

	// List gives the calls that the API created at want.From or later, or at a time that
	// cannot be read, each at least once. It ends with its first error. Until ctx ends it
	// may repeat requests that fail. A list that ends without an error has every call that
	// the API showed when it began: an empty one says that there is none.
	//
	// An error that is an *Unlistable says that waiting for the list is no use.
	List(ctx context.Context, want Listing) iter.Seq2[PlacedCall, error]
}

// Listing is what a list is wanted for.
type Listing struct {
	// From says from when on calls are wanted, by the API's clock. It must be asked once,
	// with the time at which the newest call was created, by the API's clock: zero if there
	// is none, or none whose time can be read.
	From func(newest time.Time) time.Time
	// Ours says whether a text is the reference of a call that is looked for.
	Ours func(text string) bool
	// Final says that a call which the list lacks may be taken for one that was not
	// created. Otherwise what is costly to tell may be left out.
	Final bool
	// Once says that requests which fail are not to be repeated.
	Once bool
	// Asked may be told of each request: nil where it was answered, and where it is repeated
	// why. Who lists by requests that give no call should tell.
	Asked func(err error)
}

// Unlistable is an error of a list that says: this key, or this config, can never list calls.
// What is in doubt is held.
type Unlistable struct {
	Err  error
	Ever bool // nothing but another config changes that; else a call may be found until settle is over
}

func (e *Unlistable) Error() string { return e.Err.Error() }
func (e *Unlistable) Unwrap() error { return e.Err }

// Refusal is an error of Place for a single call that something before the API refused. The
// call is looked up all the same: the API may have taken it.
type Refusal struct {
	// Reason is that of the call's failure, if it was refused for what it holds. "" means
	// that all may be refused: the stream pauses, as for a wrong setup, and a call that the
	// list lacks is sent again.
	Reason string
	Err    error
}

func (e *Refusal) Error() string { return e.Err.Error() }
func (e *Refusal) Unwrap() error { return e.Err }

// PlacedCall is a call that the API has, as a reply or a list shows it. Members that
// are missing there are zero.
type PlacedCall struct {
	ID      string          // "" if it cannot be read: the call exists, and cannot be recorded
	Ref     string          // Call.Ref; "" if the API did not hand it back
	More    []string        // further ids that the API gave for it
	NoRef   error           // why it did not, if that is known; such a call may be any, whenever it was created
	Number  string          // that is called, in any punctuation
	Created time.Time       // by the API's clock
	Raw     json.RawMessage // the whole of it, secrets removed; nil if nobody wants it
}
