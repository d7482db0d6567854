package plugin

import (
	"bytes"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
)

// readiness makes `/ready` show a pause. Benthos shows what its engine around an output saw
// last: an output is not ready from a write that answers ErrNotConnected until the next
// write ends, with the last error of Connect for a reason. So one batch that waits, of which
// nothing is decided, claimed or in doubt, is given back to that engine, Connect tells the
// reason once, and the batch then waits here again, as before.
//
// It is one batch at a time: the engine holds a lock from the one to the other write, for
// which a second batch would have to wait.
type readiness struct {
	mu     sync.Mutex
	away   *givenBack // nil: none
	reason error      // that Connect has to tell; nil: it did
}

// givenBack is the batch that was given back, and comes again.
type givenBack struct {
	first []byte // its first message
	size  int
	began time.Time // when it came first
}

// attempt is one write of a batch.
type attempt struct {
	ready *readiness
	batch givenBack
	again bool
}

// reconnectAfter is how soon Benthos is to call Connect again, which told the reason.
const reconnectAfter = time.Millisecond

// begin begins a write, which must be ended. With an error it is over: Connect was not asked
// for the reason yet.
func (r *readiness) begin(batch service.MessageBatch) (*attempt, error) {
	a := &attempt{ready: r, batch: givenBack{size: len(batch), began: time.Now()}}
	if len(batch) > 0 {
		a.batch.first, _ = batch[0].AsBytes() // without bytes it makes no call
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away == nil || r.away.size != a.batch.size || !bytes.Equal(r.away.first, a.batch.first) {
		return a, nil
	}
	if r.reason != nil {
		return nil, service.ErrNotConnected
	}
	a.batch, a.again = *r.away, true
	return a, nil
}

// terms are how the batch is dialed. One that came again stays until it is decided.
func (a *attempt) terms() dialer.Terms {
	t := dialer.Terms{Began: a.batch.began}
	if !a.again {
		t.Leave = a.leave
	}
	return t
}

// leave says whether the batch may be given back, which it is then.
func (a *attempt) leave(why *dialer.Paused) bool {
	r := a.ready
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away != nil {
		return false
	}
	r.away, r.reason = &a.batch, why
	return true
}

// end ends a write. With it Benthos takes the output for ready, so that the next batch that
// waits may be given back.
func (a *attempt) end() {
	if !a.again {
		return
	}
	a.ready.mu.Lock()
	defer a.ready.mu.Unlock()
	a.ready.away = nil
}

// tell is what Connect answers.
func (r *readiness) tell() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	why := r.reason
	r.reason = nil
	if why == nil {
		return nil
	}
	return service.NewErrBackOff(why, reconnectAfter)
}
