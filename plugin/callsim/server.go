package callsim

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

const apiPath = "/api/v1"

// ServeHTTP implements http.Handler.
func (s *Sim) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.rig.DateHeader(w.Header())
	s.mux.ServeHTTP(w, req)
}

// Server is a Sim that listens.
type Server struct {
	Sim     *Sim
	URL     string // the API's base URL
	servers *rig.Servers
}

// Listen serves a new Sim on an address such as 127.0.0.1:0, until Close. Its URL is what
// a client's base_url takes.
func Listen(address string, opts Options) (*Server, error) {
	l, err := rig.ListenOn(address)
	if err != nil {
		return nil, err
	}
	sim := New(opts)
	return &Server{Sim: sim, URL: "http://" + l.Addr().String() + apiPath, servers: rig.Serve(sim, l)}, nil
}

// Close closes the Sim, cuts all connections and returns when the listener has ended.
// Close may be called twice.
func (s *Server) Close() error {
	s.Sim.Close()
	return s.servers.Close()
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
	s.table.Operations[operation] = true
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
		s.rig.Pause(req.Context(), s.opts.Latency)
		if !isDial(operation) {
			if f := s.rig.Strike(operation, nil, func(Kind) bool { return true }); f != nil {
				s.strikeOther(w, req, operation, f, h)
				return
			}
		}
		h(w, req)
	})
}

// strikeOther lets a fault strike an operation that is no dial.
func (s *Sim) strikeOther(w http.ResponseWriter, req *http.Request, operation string, f *rig.Fault, h http.HandlerFunc) {
	switch f.Kind {
	case Delay:
		s.rig.Pause(req.Context(), time.Duration(f.Delay))
		h(w, req)
	case Refuse, ErrorBefore:
		f.SetRetryAfter(w.Header())
		s.fail(w, operation, f.Status, "refused on request")
	case CutBefore, CutInBody:
		s.rig.Cut(operation)
	default: // the others strike when the work is done
		s.rig.Break(w, req, operation, f, h, func(status int) { s.fail(w, operation, status, "failed on request") })
	}
}

func (s *Sim) reply(w http.ResponseWriter, operation string, body []byte) {
	s.rig.Reply(w, operation, http.StatusOK, "application/json", body)
}

func (s *Sim) fail(w http.ResponseWriter, operation string, status int, message string) {
	body, _ := json.Marshal(map[string]string{"message": message})
	s.rig.Reply(w, operation, status, "application/json", append(body, '\n'))
}
