package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// api is a pretend API whose wire can be cut, and whose listener can go away and
// come back.
type api struct {
	sim     *callsim.Sim  // nil: it is the platform's
	today   *platform.Sim // nil: it is v1
	path    string
	url     string
	address string
	handler http.Handler
	wire    *wire

	http  *http.Server
	ended chan error
}

// serve listens for a new simulator. wrap may be nil.
func serve(opts callsim.Options, w *wire, wrap func(http.Handler) http.Handler) (*api, error) {
	a := &api{sim: callsim.New(opts), path: "/api/v1", address: "127.0.0.1:0", wire: w}
	a.handler = a.sim
	if wrap != nil {
		a.handler = wrap(a.sim)
	}
	return a, a.up()
}

// serveToday listens for a new pretend platform.
func serveToday(opts platform.Options, w *wire) (*api, error) {
	a := &api{today: platform.New(opts), path: "/api/v2", address: "127.0.0.1:0", wire: w}
	a.handler = a.today
	return a, a.up()
}

// up begins to listen, again at the same address after down.
func (a *api) up() error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", a.address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	a.address = l.Addr().String()
	a.url = "http://" + a.address + a.path
	a.http, a.ended = &http.Server{Handler: a.handler}, make(chan error, 1)
	if a.wire != nil {
		// With a connection for each request, each of them meets the wire.
		a.http.SetKeepAlivesEnabled(false)
		l = cutting{l, a.wire}
	}
	go func(s *http.Server, ended chan error) { ended <- s.Serve(l) }(a.http, a.ended)
	return nil
}

// down stops listening and cuts every connection.
func (a *api) down() error {
	err := a.http.Close()
	if served := <-a.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// close ends the API when every request that it has begun is through, so that
// its count of calls is final.
func (a *api) close() error {
	if a.sim != nil {
		a.sim.Close()
	} else {
		a.today.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := a.http.Shutdown(ctx)
	if served := <-a.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// wire cuts connections before a single byte of a request was read.
type wire struct {
	rate float64

	mu       sync.Mutex
	rng      *rand.Rand
	accepted int
	struck   int
}

func (w *wire) strikes() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.accepted++
	if w.rate == 0 || (w.accepted != spared+1 && w.rng.Float64() >= w.rate) {
		return false
	}
	w.struck++
	return true
}

func (w *wire) end() (struck int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rate = 0
	return w.struck
}

// cutting is a listener that hands on only the connections the wire spares.
type cutting struct {
	net.Listener
	wire *wire
}

func (l cutting) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || !l.wire.strikes() {
			return conn, err
		}
		_ = conn.Close()
	}
}

// withoutEcho is an API that never hands metadata back: not in replies, not in
// lists, whatever else goes wrong with the request.
func withoutEcho(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		told := httptest.NewRecorder()
		next.ServeHTTP(told, req) // what cuts the connection panics through here
		maps.Copy(w.Header(), told.Header())
		body := told.Body.Bytes()
		var document any
		if json.Unmarshal(body, &document) == nil {
			forgetCustom(document)
			body, _ = json.Marshal(document)
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(told.Code)
		_, _ = w.Write(body)
	})
}

func forgetCustom(v any) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			forgetCustom(item)
		}
	case map[string]any:
		delete(v, "custom")
		for _, member := range v {
			forgetCustom(member)
		}
	}
}
