package platform

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

const apiPath = "/api/v2"

// Paths are where the platform is, for a server that serves other things, too.
var Paths = []string{apiPath + "/", legacyPath, hooksPath + "/", loginPath, ControlPath + "/"}

// maxBytes is what the pretend platform reads of a request.
const maxBytes = 8 << 20

// Operations, by their ids in the description.
const (
	opDescribeKey   = "describeApiKey"
	opUsage         = "getUsageTotals"
	opCredits       = "getRunCredits"
	opPhoneNumbers  = "listPhoneNumbers"
	opListWorkflows = "listWorkflows"
	opGetWorkflow   = "getWorkflow"
	opVersionNodes  = "listVersionNodes"
	opTrigger       = "triggerRun"
	opListRuns      = "listRuns"
	opFlowSessions  = "listWorkflowSessions"
	opCancelRuns    = "cancelWorkflowRuns"
	opGetRun        = "getRun"
	opCancelRun     = "cancelRun"
	opRunSessions   = "listRunSessions"
	opRunNodes      = "listRunNodes"
	opRunOutput     = "getRunOutput"
	opRecordings    = "listRunRecordings"
	opCaller        = "listSessionsByCaller"
	opGetSession    = "getSession"
	opMessages      = "listSessionMessages"
	opStream        = "streamSession"
	opContact       = "resolveContact"
	opHook          = "triggerHook"
	opHookIn        = "triggerHookInEnvironment"
	opTwin          = "twinSql"
	opLegacy        = "legacyListRuns"
)

// operations are all of them.
var operations = map[string]bool{
	opDescribeKey:   true,
	opUsage:         true,
	opCredits:       true,
	opPhoneNumbers:  true,
	opListWorkflows: true,
	opGetWorkflow:   true,
	opVersionNodes:  true,
	opTrigger:       true,
	opListRuns:      true,
	opFlowSessions:  true,
	opCancelRuns:    true,
	opGetRun:        true,
	opCancelRun:     true,
	opRunSessions:   true,
	opRunNodes:      true,
	opRunOutput:     true,
	opRecordings:    true,
	opCaller:        true,
	opGetSession:    true,
	opMessages:      true,
	opStream:        true,
	opContact:       true,
	opHook:          true,
	opHookIn:        true,
	opTwin:          true,
	opLegacy:        true,
}

// ServeHTTP implements http.Handler.
func (s *Sim) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	s.rig.DateHeader(w.Header())
	s.mux.ServeHTTP(w, req)
}

// Server is a Sim that listens, with the API and the hooks at addresses of their own.
type Server struct {
	Sim      *Sim
	URL      string // the API's base URL
	HooksURL string // of the hooks: a workflow's is HooksURL + "/" + its HookSlug
	servers  *rig.Servers
}

// Listen serves a new Sim on an address such as 127.0.0.1:0, and its hooks on another port
// of the same host, until Close. Hooks at the API's address are answered with a redirect to a
// login page.
func Listen(address string, opts Options) (*Server, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	api, err := rig.ListenOn(address)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(api.Addr().String()) // of a listener, so it can be split
	hooks, err := rig.ListenOn(net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, errors.Join(err, api.Close())
	}
	opts.HookHost = hooks.Addr().String()
	sim := New(opts)
	return &Server{
		Sim: sim, URL: "http://" + api.Addr().String() + apiPath, HooksURL: "http://" + opts.HookHost + hooksPath, servers: rig.Serve(sim, api, hooks),
	}, nil
}

// Close closes the Sim, cuts all connections and returns when the listeners have ended.
// Close may be called twice.
func (s *Server) Close() error {
	s.Sim.Close()
	return s.servers.Close()
}

func (s *Sim) route() {
	s.mux = http.NewServeMux()
	s.api("GET /api-key/describe", opDescribeKey, s.describeKey)
	s.api("GET /billing/usage/totals", opUsage, s.usageTotals)
	s.api("GET /billing/usage/runs/{run_id}", opCredits, s.runCredits)
	s.api("GET /phone-numbers/{$}", opPhoneNumbers, s.phoneNumbers)
	s.api("GET /workflows/{$}", opListWorkflows, s.listWorkflows)
	s.api("GET /workflows", opListWorkflows, s.listWorkflows) // seen to work, too
	s.api("GET /workflows/{workflow_id}", opGetWorkflow, s.getWorkflow)
	s.api("GET /versions/{version_id}/nodes", opVersionNodes, s.versionNodes)
	s.api("POST /workflows/{workflow_id}/runs", opTrigger, s.trigger)
	s.api("GET /workflows/{workflow_id}/runs", opListRuns, s.listRuns)
	s.api("GET /workflows/{workflow_id}/sessions", opFlowSessions, s.flowSessions)
	s.api("POST /workflows/{workflow_id}/cancel-runs", opCancelRuns, s.cancelRuns)
	s.api("GET /runs/{run_id}", opGetRun, s.getRun)
	s.api("POST /runs/{run_id}/cancel", opCancelRun, s.cancelRun)
	s.api("GET /runs/{run_id}/sessions", opRunSessions, s.runSessions)
	s.api("GET /runs/{run_id}/nodes", opRunNodes, s.runNodes)
	s.api("GET /runs/{run_id}/outputs/{output_id}", opRunOutput, s.runOutput)
	s.api("GET /runs/{run_id}/recordings", opRecordings, s.recordings)
	s.api("GET /sessions/{$}", opCaller, s.sessionsByCaller)
	s.api("GET /sessions/{session_id}", opGetSession, s.getSession)
	s.api("GET /sessions/{session_id}/messages", opMessages, s.messages)
	s.api("GET /sessions/{session_id}/stream", opStream, s.streamSession)
	s.api("GET /contacts/resolve", opContact, s.resolveContact)
	s.api("POST /twin/sql", opTwin, s.twinSQL)
	s.handle("GET "+legacyPath, opLegacy, s.withKey(opLegacy), s.legacyListRuns)
	s.routeHooks()
	s.routeControl()
	s.mux.HandleFunc("/", s.noOperation)
}

// unknownOperation counts requests of no operation, and those with a wrong method.
const unknownOperation = "unknown"

// noOperation answers what matches none: 405 where another method would match.
func (s *Sim) noOperation(w http.ResponseWriter, req *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if _, pattern := s.mux.Handler(&http.Request{Method: method, URL: req.URL, Host: req.Host}); pattern != "/" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		s.fail(w, unknownOperation, http.StatusNotFound, "Route not found")
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	s.fail(w, unknownOperation, http.StatusMethodNotAllowed, "Method not allowed")
}

// handler answers a request of an operation. The body has been read.
type handler func(w http.ResponseWriter, req *http.Request, body []byte)

// api registers an operation behind the key, the rate limit and the faults.
func (s *Sim) api(pattern, operation string, h handler) {
	method, path, _ := strings.Cut(pattern, " ")
	s.handle(method+" "+apiPath+path, operation, s.withKey(operation), h)
}

func bearer(req *http.Request) string {
	token, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}

// withKey lets in who has the key. That of another cluster is as good as none.
func (s *Sim) withKey(operation string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, req *http.Request) bool {
		switch token := bearer(req); {
		case token == "":
			s.failJSON(w, operation, http.StatusUnauthorized, object{"error": "missing bearer token"})
		case s.opts.APIKey != "" && token != s.opts.APIKey, !s.opts.KeyExpires.IsZero() && time.Now().After(s.opts.KeyExpires):
			s.failJSON(w, operation, http.StatusUnauthorized, object{"error": "invalid or revoked API key"})
		default:
			return true
		}
		return false
	}
}

// handle registers an operation behind the faults and what may enter.
func (s *Sim) handle(pattern, operation string, enters func(http.ResponseWriter, *http.Request) bool, h handler) {
	method, _, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) {
		if req.Method != method { // HEAD, which the mux takes for a GET
			s.noOperation(w, req)
			return
		}
		s.rig.Pause(req.Context(), s.opts.Latency)
		if !enters(w, req) || s.limited(w, operation) {
			return
		}
		// Faults that strike before the body is read cannot know what it holds.
		if f := s.rig.Strike(operation, nil, early); f != nil {
			if f.Kind == CutInBody {
				s.rig.CutInRequest(req, operation)
			}
			s.rig.Cut(operation)
		}
		body, err := io.ReadAll(io.LimitReader(req.Body, maxBytes))
		if err != nil {
			s.rig.Cut(operation)
		}
		var members any
		if starts[operation] {
			_ = json.Unmarshal(body, &members)
		}
		has := func(value string) bool { return holds(members, value) }
		// What a request is refused for comes before anything that does its work.
		if f := s.rig.Strike(operation, has, refusing); f != nil {
			s.refuse(w, operation, f)
			return
		}
		f := s.rig.Strike(operation, has, late)
		if f == nil {
			h(w, req, body)
			return
		}
		switch f.Kind {
		case Delay:
			s.rig.Pause(req.Context(), time.Duration(f.Delay))
			h(w, req, body)
		case NoID, TwoIDs, Hide, DropColumns, LateColumns:
			h(w, req.WithContext(context.WithValue(req.Context(), struckKey{}, f)), body)
		default:
			s.rig.Break(w, req, operation, f, func(w http.ResponseWriter, req *http.Request) { h(w, req, body) },
				func(status int) { s.fail(w, operation, status, "failed on request") })
		}
	})
}

// struckKey is where a request carries the fault that strikes the run it starts.
type struckKey struct{}

// struck is that fault; its kind is empty for none.
func struck(req *http.Request) rig.Fault {
	if f, ok := req.Context().Value(struckKey{}).(*rig.Fault); ok {
		return *f
	}
	return rig.Fault{}
}
