package rig

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

// RouteControl serves what a test in another process needs of any pretend API, without a key:
// faults, the clock, and waiting. What the API makes is named by made, such as calls, and
// awaitMade waits for so many.
func (r *Rig) RouteControl(mux *http.ServeMux, prefix, made string, awaitMade func(ctx context.Context, n int) error) {
	mux.HandleFunc("GET "+prefix+"/healthz", func(w http.ResponseWriter, _ *http.Request) { WriteJSON(w, map[string]any{"seed": r.Seed()}) })
	mux.HandleFunc("GET "+prefix+"/faults", func(w http.ResponseWriter, _ *http.Request) { WriteJSON(w, r.Faults()) })
	mux.HandleFunc("DELETE "+prefix+"/faults", func(w http.ResponseWriter, _ *http.Request) {
		r.ClearFaults()
		WriteJSON(w, r.Faults())
	})
	mux.HandleFunc("POST "+prefix+"/faults", func(w http.ResponseWriter, req *http.Request) {
		var f Fault
		err := Decode(req, &f)
		if err == nil {
			err = r.opts.Table.Check(f)
		}
		if err != nil {
			http.Error(w, "want a fault such as {\"kind\":\"refuse\",\"status\":429}: "+err.Error(), http.StatusBadRequest)
			return
		}
		WriteJSON(w, map[string]any{"id": r.Inject(f)})
	})
	mux.HandleFunc("POST "+prefix+"/await", func(w http.ResponseWriter, req *http.Request) { r.controlAwait(w, req, made, awaitMade) })
	mux.HandleFunc("POST "+prefix+"/clock", func(w http.ResponseWriter, req *http.Request) {
		var c struct {
			Advance Duration `json:"advance"`
		}
		if err := Decode(req, &c); err != nil || c.Advance < 0 {
			http.Error(w, "want {\"advance\":\"60s\"}, forward only", http.StatusBadRequest)
			return
		}
		r.Advance(time.Duration(c.Advance))
		WriteJSON(w, map[string]any{"advanced": c.Advance})
	})
}

// awaited is what another process waits for: one of a fault, an operation, and what the API
// makes, calls or runs.
type awaited struct {
	Fault     int      `json:"fault,omitempty"`     // a rule, which is to strike
	Operation string   `json:"operation,omitempty"` // which is to be asked for
	Calls     bool     `json:"calls,omitempty"`     // which are to be placed
	Runs      bool     `json:"runs,omitempty"`      // which are to be started
	Times     int      `json:"times"`
	Within    Duration `json:"within,omitempty"` // default 1m
}

// controlAwait answers once it has happened, or with 504 and what there was by then.
func (r *Rig) controlAwait(w http.ResponseWriter, req *http.Request, made string, awaitMade func(context.Context, int) error) {
	a := awaited{Within: Duration(time.Minute)}
	err := Decode(req, &a)
	if err == nil && a.Times < 1 {
		err = errors.New("times must be positive")
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(req.Context(), time.Duration(a.Within))
		defer cancel()
		things := map[string]bool{"calls": a.Calls, "runs": a.Runs}
		some := a.Calls || a.Runs
		switch {
		case a.Fault != 0 && a.Operation == "" && !some:
			err = r.AwaitStruck(ctx, a.Fault, a.Times)
		case a.Fault == 0 && a.Operation != "" && !some:
			err = r.AwaitRequests(ctx, a.Operation, a.Times)
		case a.Fault == 0 && a.Operation == "" && things[made] && a.Calls != a.Runs:
			err = awaitMade(ctx, a.Times)
		default:
			err = errors.New("one of fault, operation and " + made)
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		http.Error(w, err.Error(), http.StatusGatewayTimeout)
	case err != nil:
		http.Error(w, "want what to await, such as {\"fault\":1,\"times\":3,\"within\":\"30s\"}: "+err.Error(), http.StatusBadRequest)
	default:
		WriteJSON(w, a)
	}
}

// Decode refuses members that nothing reads.
func Decode(req *http.Request, into any) error {
	d := json.NewDecoder(req.Body)
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// WriteJSON answers with a document.
func WriteJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
