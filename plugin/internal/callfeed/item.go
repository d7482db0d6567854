package callfeed

import (
	"encoding/json"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Item is what a feed knows of one thing that is listed: a call or a run. Whoever lists
// decides what a status means; the feed only compares statuses, and folds them for that.
type Item struct {
	ID      string            // "" when it cannot be read by itself
	Created time.Time         // zero when the API does not say
	Status  happyrobot.Status // as the API writes it
	Known   bool              // the status is documented
	Over    bool              // the status, or who listed it, says that nothing more happens
	Ended   time.Time         // when it was over; zero when the API does not say
	Later   bool              // it waits for its time
	Due     time.Time         // which is then; zero when the API does not say
	Queued  bool              // its time is when its turn comes: nobody says when
	Listed  bool              // a list shows more of it than it tells by itself, and did
	Foreign bool              // it was not asked for: it is listed, and never handed out

	Raw    json.RawMessage // as the API reports it, without secrets
	Object any             // what the API's client made of it, for whoever gets the event
}

// Query asks for a page of a list that is sorted by creation, oldest first.
type Query struct {
	From   time.Time // created then or later; the API may compare otherwise
	Newest bool      // newest first instead
	Limit  int       // how many
	Skip   int       // how many to leave out
	Once   bool      // do not repeat a read that fails
}

// Page is an answer to a Query.
type Page struct {
	Items []Item
	// Room is how many items the page has room for: with fewer, it may be the last one.
	Room int
	// Gaps says that some of the places of the page show no item. Then Items may begin
	// before the offset, the next page begins Room further on, and More says whether it
	// may show anything.
	Gaps, More bool
}

// Unit is how a feed speaks of what it lists.
type Unit struct {
	One, Many string
	MaxAge    string // the field that bounds how long the end of one is waited for
	Dropped   string // the metric that counts those given up
	Part      string // a part that Options.Parts reads
	Parts     string // the same of several
	Advice    string // what a user can do about a status that is not documented
	Queues    bool   // some of them wait in line
	SamePage  error  // what ends a pass in which the API gives the same page twice
}
