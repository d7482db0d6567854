package callsim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

const apiPath = "/api/v1"

// ServeHTTP implements http.Handler.
func (s *Sim) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.dateHeader(w.Header())
	s.mux.ServeHTTP(w, req)
}

// Server is a Sim that listens.
type Server struct {
	Sim  *Sim
	URL  string // the API's base URL
	http *http.Server
	done chan error
}

// Listen serves a new Sim on an address such as 127.0.0.1:0, until Close. Its URL is what
// a client's base_url takes.
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

// Close closes the Sim, cuts all connections and returns when the listener has ended.
// Close may be called twice.
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
	s.mux.HandleFunc("/", s.noOperation)
}

// noOperation answers what matches none: 405 where another method would match.
func (s *Sim) noOperation(w http.ResponseWriter, req *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost} {
		if _, pattern := s.mux.Handler(&http.Request{Method: method, URL: req.URL, Host: req.Host}); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.fail(w, "unknown", http.StatusNotFound, "no such path")
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.fail(w, "unknown", http.StatusMethodNotAllowed, "no such method on this path")
}

// api registers an operation behind the key, the latency and the faults that any
// operation may have.
func (s *Sim) api(pattern, operation string, h http.HandlerFunc) {
	s.operations[operation] = true
	method, path, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(method+" "+apiPath+path, func(w http.ResponseWriter, req *http.Request) {
		if req.Method != method { // HEAD, which the mux takes for a GET
			s.noOperation(w, req)
			return
		}
		token, bearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
		if !bearer || token == "" || (s.opts.APIKey != "" && token != s.opts.APIKey) {
			s.fail(w, operation, http.StatusUnauthorized, "not authenticated")
			return
		}
		s.pause(req, s.opts.Latency)
		if !isDial(operation) {
			if f := s.draw(operation, nil, func(Kind) bool { return true }); f != nil {
				s.strikeOther(w, req, operation, f, h)
				return
			}
		}
		h(w, req)
	})
}

// strikeOther lets a fault strike an operation that is no dial.
func (s *Sim) strikeOther(w http.ResponseWriter, req *http.Request, operation string, f *Fault, h http.HandlerFunc) {
	switch f.Kind {
	case Delay:
		s.pause(req, f.delay())
		h(w, req)
		return
	case Refuse, ErrorBefore:
		f.setRetryAfter(w.Header())
		s.fail(w, operation, f.Status, "refused on request")
		return
	case CutBefore, CutInBody:
		s.cut(operation)
	}
	// The others strike when the work is done.
	answer := &kept{header: http.Header{}, status: http.StatusOK}
	h(answer, req)
	switch f.Kind {
	case ErrorAfter:
		f.setRetryAfter(w.Header())
		s.fail(w, operation, f.Status, "failed on request")
	case WrongType:
		s.replyHTML(w, operation)
	case NotJSON:
		s.reply(w, operation, answer.body[:len(answer.body)/2])
	case CutBody:
		if len(answer.body) == 0 {
			s.cut(operation)
		}
		s.count(operation, answer.status)
		cutInAnswer(w, answer.status, answer.body)
	default:
		s.cut(operation)
	}
}

// kept is an answer that does not reach the client as it is, nor is counted.
type kept struct {
	header http.Header
	status int
	body   []byte
}

func (k *kept) Header() http.Header    { return k.header }
func (k *kept) WriteHeader(status int) { k.status = status }
func (k *kept) Write(b []byte) (int, error) {
	k.body = append(k.body, b...)
	return len(b), nil
}

// answered counts an answer, unless a fault keeps it.
func (s *Sim) answered(w http.ResponseWriter, operation string, status int) {
	if _, ok := w.(*kept); !ok {
		s.count(operation, status)
	}
}

func (s *Sim) reply(w http.ResponseWriter, operation string, body []byte) {
	s.answered(w, operation, http.StatusOK)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body)
}

func (s *Sim) replyHTML(w http.ResponseWriter, operation string) {
	s.answered(w, operation, http.StatusOK)
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<html><body>All is well.</body></html>")
}

func (s *Sim) fail(w http.ResponseWriter, operation string, status int, message string) {
	s.answered(w, operation, status)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}
