package crash

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// wire stands between the distribution and the simulator and counts the dials on
// their way, so that a kill can be placed, and be known to have struck.
type wire struct {
	URL  string      // the API's base URL
	meet *rendezvous // nil, or where reads wait for those of another wire

	mu        sync.Mutex
	begun     int           // dials that arrived
	inFlight  int           // of those, not yet answered to their end
	abandoned int           // of those, whose client went away before the answer
	lookups   int           // reads
	held      chan struct{} // nil, or closed when dials get their answers again
}

func newWire(t *testing.T, sim *program.Callsim, meet *rendezvous) *wire {
	t.Helper()
	target, err := url.Parse(sim.Host)
	require.NoError(t, err)
	w := &wire{meet: meet}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		// Nothing may be sent twice on the way.
		Transport: &http.Transport{DisableKeepAlives: true},
		ModifyResponse: func(res *http.Response) error {
			if res.Request.Method == http.MethodPost {
				w.awaitRelease(res.Request.Context())
			}
			return nil
		},
		// What the simulator cuts is cut for the client, too.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodPost {
			w.add(1, 1, 0)
			defer func() {
				gone := 0
				if req.Context().Err() != nil {
					gone = 1
				}
				w.add(0, -1, gone)
			}()
		}
		if req.Method == http.MethodGet {
			w.mu.Lock()
			w.lookups++
			w.mu.Unlock()
			w.meet.await(req.Context())
		}
		proxy.ServeHTTP(rw, req)
	}))
	t.Cleanup(srv.Close)
	w.URL = srv.URL + "/api/v1"
	return w
}

func (w *wire) add(begun, inFlight, abandoned int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun += begun
	w.inFlight += inFlight
	w.abandoned += abandoned
}

func (w *wire) counts() (begun, inFlight, abandoned int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun, w.inFlight, w.abandoned
}

// looked is how often calls were looked up.
func (w *wire) looked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lookups
}

// hold keeps the answers of dials from their client until release, or until it is gone:
// a kill between the two strikes for certain, however busy the machine.
func (w *wire) hold() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = make(chan struct{})
}

func (w *wire) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.held)
	w.held = nil
}

func (w *wire) awaitRelease(client context.Context) {
	w.mu.Lock()
	held := w.held
	w.mu.Unlock()
	if held == nil {
		return
	}
	select {
	case <-held:
	case <-client.Done():
	}
}

// awaitDials waits until n more dials have left a process.
func (w *wire) awaitDials(t *testing.T, p *program.Process, n int) {
	t.Helper()
	before, _, _ := w.counts()
	deadline := time.Now().Add(3 * time.Minute)
	for {
		if now, _, _ := w.counts(); now >= before+n {
			return
		}
		select {
		case <-p.Ended():
			require.FailNow(t, "the process ended by itself", "%s", p.Log())
		case <-time.After(time.Millisecond):
		}
		require.True(t, time.Now().Before(deadline), "no dial left the process in three minutes")
	}
}

// kill ends a process and says whether a dial was on its way, which never got
// its answer then.
func (w *wire) kill(t *testing.T, p *program.Process) (struck bool) {
	t.Helper()
	_, _, before := w.counts()
	p.Kill()
	// The dead process' dials end when their connections are found closed.
	require.Eventually(t, func() bool { _, inFlight, _ := w.counts(); return inFlight == 0 }, time.Minute, time.Millisecond)
	_, _, after := w.counts()
	return after > before
}

// linger lets a random moment up to most pass: it is when the kill comes, and
// nothing is waited for.
func linger(rng *rand.Rand, most time.Duration) { time.Sleep(time.Duration(rng.Int64N(int64(most)))) }

// rendezvous lets those who come go on in pairs, so that they do next at the same
// moment what only one of them may do.
type rendezvous struct {
	mu      sync.Mutex
	waiting chan struct{}
}

// await waits for the other one, but not for ever: it may have nothing to do.
func (r *rendezvous) await(ctx context.Context) {
	if r == nil {
		return
	}
	r.mu.Lock()
	if r.waiting != nil {
		close(r.waiting)
		r.waiting = nil
		r.mu.Unlock()
		return
	}
	mine := make(chan struct{})
	r.waiting = mine
	r.mu.Unlock()
	select {
	case <-mine:
		return
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
	}
	r.mu.Lock()
	if r.waiting == mine {
		r.waiting = nil
	}
	r.mu.Unlock()
}
