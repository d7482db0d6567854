package callsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
)

const apiPath = "/api/v1"

// ServeHTTP implements http.Handler.
func (s *Sim) ServeHTTP(w http.ResponseWriter, req *http.Request) { s.mux.ServeHTTP(w, req) }

// Server is a Sim that listens.
type Server struct {
	Sim  *Sim
	URL  string // the API's base URL
	http *http.Server
	done chan error
}

// Listen serves a new Sim on an address such as 127.0.0.1:0.
func Listen(address string, opts Options) (*Server, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	sim := New(opts)
	srv := &Server{Sim: sim, URL: "http://" + l.Addr().String() + apiPath, http: &http.Server{Handler: sim}, done: make(chan error, 1)} //nolint:gosec // a test bed: slow clients are its own
	go func() { srv.done <- srv.http.Serve(l) }()
	return srv, nil
}

// Close cuts all connections and waits for the listener to end.
func (s *Server) Close() error {
	s.Sim.Close()
	err := s.http.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	s.done <- http.ErrServerClosed // a second Close finds it ended
	return err
}

func (s *Sim) route() {
	s.mux = http.NewServeMux()
	s.api("POST /dial/outbound", opDial, s.dial(opDial))
	s.api("POST /dial/outbound-batched", opDialBatch, s.dial(opDialBatch))
	s.routeReads()
	s.routeControl()
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		s.fail(w, "unknown", http.StatusNotFound, "no such path")
	})
}

// api registers an operation behind the key, the latency and the faults that any
// operation may have.
func (s *Sim) api(pattern, operation string, h http.HandlerFunc) {
	method, path, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(method+" "+apiPath+path, func(w http.ResponseWriter, req *http.Request) {
		token, bearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if !bearer || token == "" || (s.opts.APIKey != "" && token != s.opts.APIKey) {
			s.fail(w, operation, http.StatusUnauthorized, "not authenticated")
			return
		}
		s.pause(req, s.opts.Latency)
		if operation != opDial && operation != opDialBatch {
			if f := s.draw(operation, nil, func(Kind) bool { return true }); f != nil && s.failRead(w, req, operation, f) {
				return
			}
		}
		h(w, req)
	})
}

// failRead lets a fault strike a read. It answers false when the read goes on.
func (s *Sim) failRead(w http.ResponseWriter, req *http.Request, operation string, f *Fault) bool {
	switch f.Kind {
	case Refuse, ErrorBefore, ErrorAfter:
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		s.fail(w, operation, f.Status, "failed on request")
	case CutBefore, CutInBody, LoseAnswer, CutBody:
		s.cut(operation)
	case WrongType, NotJSON:
		s.count(operation, http.StatusOK)
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>"))
	case Delay:
		s.pause(req, f.delay())
		return false
	default:
		return false
	}
	return true
}

func (s *Sim) reply(w http.ResponseWriter, operation string, body []byte) {
	s.count(operation, http.StatusOK)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func (s *Sim) fail(w http.ResponseWriter, operation string, status int, message string) {
	s.count(operation, status)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}
