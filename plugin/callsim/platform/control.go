package platform

import (
	"encoding/json"
	"net/http"
	"time"
)

// ControlPath is where a test in another process finds faults and ground truth.
const ControlPath = "/_sim/platform"

// routeControl serves what a test in another process needs, without a key.
func (s *Sim) routeControl() {
	s.mux.HandleFunc("GET "+ControlPath+"/healthz", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, object{"seed": s.Seed()}) })
	s.mux.HandleFunc("GET "+ControlPath+"/requests", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Requests()) })
	s.mux.HandleFunc("GET "+ControlPath+"/runs", func(w http.ResponseWriter, req *http.Request) {
		by := s.ByStatus()
		if path := req.URL.Query().Get("by"); path != "" {
			by = s.RunsBy(path)
		}
		total := 0
		for _, n := range by {
			total += n
		}
		writeJSON(w, object{"total": total, "by": by})
	})
	s.mux.HandleFunc("GET "+ControlPath+"/runs/list", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Runs()) })
	s.mux.HandleFunc("POST "+ControlPath+"/runs", func(w http.ResponseWriter, req *http.Request) {
		var a Arrival
		err := decode(req, &a)
		var ids []string
		if err == nil {
			ids, err = s.Arrive(a)
		}
		if err != nil {
			http.Error(w, "want runs such as {\"count\":3,\"sessions\":[\"missed\",\"completed\"]}: "+err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, object{"ids": ids})
	})
	s.mux.HandleFunc("GET "+ControlPath+"/faults", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.Faults()) })
	s.mux.HandleFunc("DELETE "+ControlPath+"/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		writeJSON(w, s.Faults())
	})
	s.mux.HandleFunc("POST "+ControlPath+"/faults", func(w http.ResponseWriter, req *http.Request) {
		var f Fault
		err := decode(req, &f)
		if err == nil {
			err = f.Validate()
		}
		if err != nil {
			http.Error(w, "want a fault such as {\"kind\":\"refuse\",\"status\":429}: "+err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, object{"id": s.Inject(f)})
	})
	s.mux.HandleFunc("POST "+ControlPath+"/clock", func(w http.ResponseWriter, req *http.Request) {
		var c struct {
			Advance Duration `json:"advance"`
		}
		if err := decode(req, &c); err != nil || c.Advance < 0 {
			http.Error(w, "want {\"advance\":\"60s\"}, forward only", http.StatusBadRequest)
			return
		}
		s.Advance(time.Duration(c.Advance))
		writeJSON(w, object{"advanced": c.Advance})
	})
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
