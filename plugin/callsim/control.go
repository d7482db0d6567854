package callsim

import (
	"encoding/json"
	"net/http"
	"time"
)

// routeControl serves what a test in another process needs, without a key.
func (s *Sim) routeControl() {
	s.mux.HandleFunc("GET /_sim/healthz", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, map[string]any{"seed": s.opts.Seed}) })
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
	s.mux.HandleFunc("GET /_sim/faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Faults()) })
	s.mux.HandleFunc("DELETE /_sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		writeJSON(w, s.Faults())
	})
	s.mux.HandleFunc("POST /_sim/faults", func(w http.ResponseWriter, req *http.Request) {
		var f Fault
		err := json.NewDecoder(req.Body).Decode(&f)
		if err == nil {
			err = f.Validate()
		}
		if err != nil {
			http.Error(w, "want a fault such as {\"kind\":\"refuse\",\"status\":429}: "+err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, map[string]any{"id": s.Inject(f)})
	})
	s.mux.HandleFunc("POST /_sim/clock", func(w http.ResponseWriter, req *http.Request) {
		var c struct {
			Advance Duration `json:"advance"`
		}
		if err := json.NewDecoder(req.Body).Decode(&c); err != nil {
			http.Error(w, "want {\"advance\":\"60s\"}", http.StatusBadRequest)
			return
		}
		s.Advance(time.Duration(c.Advance))
		writeJSON(w, map[string]any{"advanced": c.Advance})
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
