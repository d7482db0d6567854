package platform

import (
	"net/http"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

// ControlPath is where a test in another process finds faults and ground truth.
const ControlPath = "/_sim/platform"

// routeControl serves what a test in another process needs, without a key.
func (s *Sim) routeControl() {
	s.rig.RouteControl(s.mux, ControlPath, "runs", s.AwaitRuns)
	s.mux.HandleFunc("GET "+ControlPath+"/requests", func(w http.ResponseWriter, _ *http.Request) { rig.WriteJSON(w, object{"requests": s.Requests()}) })
	counts := func(path string, byStatus func() map[string]int, by func(string) map[string]int) {
		s.mux.HandleFunc("GET "+ControlPath+path, func(w http.ResponseWriter, req *http.Request) {
			counted := byStatus()
			if value := req.URL.Query().Get("by"); value != "" {
				counted = by(value)
			}
			total := 0
			for _, n := range counted {
				total += n
			}
			rig.WriteJSON(w, object{"total": total, "by": counted})
		})
	}
	counts("/runs", s.ByStatus, s.RunsBy)
	counts("/sessions", s.SessionsByStatus, s.SessionsBy)
	s.mux.HandleFunc("GET "+ControlPath+"/runs/list", func(w http.ResponseWriter, _ *http.Request) { rig.WriteJSON(w, s.Runs()) })
	s.mux.HandleFunc("POST "+ControlPath+"/runs", func(w http.ResponseWriter, req *http.Request) {
		var a Arrival
		err := rig.Decode(req, &a)
		var ids []string
		if err == nil {
			ids, err = s.Arrive(a)
		}
		if err != nil {
			http.Error(w, "want runs such as {\"count\":3,\"sessions\":[\"missed\",\"completed\"]}: "+err.Error(), http.StatusBadRequest)
			return
		}
		rig.WriteJSON(w, object{"ids": ids})
	})
	s.mux.HandleFunc("POST "+ControlPath+"/fates", func(w http.ResponseWriter, req *http.Request) {
		var decided struct {
			Value string `json:"value,omitempty"`
			Fate
		}
		err := rig.Decode(req, &decided)
		if err == nil {
			err = decided.Validate()
		}
		if err != nil {
			http.Error(w, "want a fate such as {\"value\":\"+12025550101\",\"sessions\":[\"missed\"]}: "+err.Error(), http.StatusBadRequest)
			return
		}
		s.Decide(decided.Value, decided.Fate)
		rig.WriteJSON(w, decided)
	})
	s.mux.HandleFunc("GET "+ControlPath+"/webhooks", func(w http.ResponseWriter, _ *http.Request) { rig.WriteJSON(w, s.WebhookStats()) })
}
