package callsim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// routeControl serves what a test in another process needs, without a key.
func (s *Sim) routeControl() {
	s.mux.HandleFunc("GET /_sim/healthz", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, map[string]any{"seed": s.Seed()}) })
	s.mux.HandleFunc("GET /_sim/requests", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Stats()) })
	s.mux.HandleFunc("GET /_sim/calls", func(w http.ResponseWriter, req *http.Request) {
		by := s.ByStatus()
		if path := req.URL.Query().Get("by"); path != "" {
			by = s.CallsBy(path)
		}
		total := 0
		for _, n := range by {
			total += n
		}
		writeJSON(w, map[string]any{"total": total, "by": by})
	})
	s.mux.HandleFunc("GET /_sim/calls/list", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Calls()) })
	s.mux.HandleFunc("POST /_sim/calls", func(w http.ResponseWriter, req *http.Request) {
		var a Arrival
		err := decode(req, &a)
		var ids []string
		if err == nil {
			ids, err = s.Arrive(a)
		}
		if err != nil {
			http.Error(w, "want calls such as {\"type\":\"Inbound\",\"count\":3}: "+err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, map[string]any{"ids": ids})
	})
	s.mux.HandleFunc("GET /_sim/webhooks", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.WebhookStats()) })
	s.mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Faults()) })
	s.mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		writeJSON(w, s.Faults())
	})
	s.mux.HandleFunc("POST /_sim/faults", func(w http.ResponseWriter, req *http.Request) {
		var f Fault
		err := decode(req, &f)
		if err == nil {
			err = f.Validate()
		}
		if err != nil {
			http.Error(w, "want a fault such as {\"kind\":\"refuse\",\"status\":429}: "+err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, map[string]any{"id": s.Inject(f)})
	})
	s.mux.HandleFunc("POST /_sim/await", s.controlAwait)
	s.mux.HandleFunc("POST /_sim/clock", func(w http.ResponseWriter, req *http.Request) {
		var c struct {
			Advance Duration `json:"advance"`
		}
		if err := decode(req, &c); err != nil || c.Advance < 0 {
			http.Error(w, "want {\"advance\":\"60s\"}, forward only", http.StatusBadRequest)
			return
		}
		s.Advance(time.Duration(c.Advance))
		writeJSON(w, map[string]any{"advanced": c.Advance})
	})
}

// awaited is what another process waits for: one of the three.
type awaited struct {
	Fault     int      `json:"fault,omitempty"`     // a rule, which is to strike
	Operation string   `json:"operation,omitempty"` // which is to be asked for
	Calls     bool     `json:"calls,omitempty"`     // which are to be placed
	Times     int      `json:"times"`
	Within    Duration `json:"within,omitempty"` // default 1m
}

// controlAwait answers once it has happened, or with 504 and what there was by then.
func (s *Sim) controlAwait(w http.ResponseWriter, req *http.Request) {
	a := awaited{Within: Duration(time.Minute)}
	err := decode(req, &a)
	if err == nil && a.Times < 1 {
		err = errors.New("times must be positive")
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(req.Context(), time.Duration(a.Within))
		defer cancel()
		switch {
		case a.Fault != 0 && a.Operation == "" && !a.Calls:
			err = s.AwaitStruck(ctx, a.Fault, a.Times)
		case a.Fault == 0 && a.Operation != "" && !a.Calls:
			err = s.AwaitRequests(ctx, a.Operation, a.Times)
		case a.Fault == 0 && a.Operation == "" && a.Calls:
			err = s.AwaitCalls(ctx, a.Times)
		default:
			err = errors.New("one of fault, operation and calls")
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
	case err != nil:
		http.Error(w, "want what to await, such as {\"fault\":1,\"times\":3,\"within\":\"30s\"}: "+err.Error(), http.StatusBadRequest)
	default:
		writeJSON(w, a)
	}
}

// decode refuses members that nothing reads.
func decode(req *http.Request, into any) error {
	d := json.NewDecoder(req.Body)
	d.DisallowUnknownFields()
	return d.Decode(into)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
