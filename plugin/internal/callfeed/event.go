package callfeed

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Outcomes of an event.
const (
	Complete = words.Complete // the call is over, and all that was asked for is there
	NotReady = words.NotReady // the call is not over, or a part of it did not come in time
	Expired  = words.Expired  // after MaxAge its status is still a word that nobody documents
)

// Reasons for giving an open call up.
const (
	dropDeleted = words.Deleted
	dropExpired = words.Expired
)

// Event is a call to be emitted. Ack must be called once.
type Event struct {
	Item     Item
	Content  any // of Parts; nil for none
	Outcome  string
	Previous happyrobot.Status // with Changes: the status emitted before

	feed      *Feed
	key       string         // the call's, in the book
	replay    *pause.Growing // until it is handed out again; nil before it was refused
	notBefore time.Time      // when it may be handed out again
}

// Ack ends an event. With nil it returns when that is saved; with an error the call
// is emitted again.
func (e *Event) Ack(ctx context.Context, err error) error {
	f := e.feed
	if err != nil && f.opts.Replay {
		f.replay.add(e)
		return nil
	}
	defer func() { <-f.slots }()
	now := time.Now()
	if err != nil {
		f.book.refused(e, now.Add(f.opts.Poll))
		return nil
	}
	return f.saver.wait(ctx, f.book.acknowledged(e, now))
}

// keyOf is what a call is remembered by: its id. Without one only what it says is left.
func keyOf(call *Item) string {
	if call.ID != "" {
		return call.ID
	}
	sum := sha256.Sum256(call.Raw)
	return "sha256:" + hex.EncodeToString(sum[:12])
}
