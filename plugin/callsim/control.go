package callsim

import (
	"net/http"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

// routeControl serves what a test in another process needs, without a key.
func (s *Sim) routeControl() {
	s.rig.RouteControl(s.mux, "/_sim", "calls", s.AwaitCalls)
	s.mux.HandleFunc("GET /_sim/requests", func(w http.ResponseWriter, _ *http.Request) { rig.WriteJSON(w, s.Stats()) })
	s.mux.HandleFunc("GET /_sim/calls", func(w http.ResponseWriter, req *http.Request) {
		by := s.ByStatus()
		if path := req.URL.Query().Get("by"); path != "" {
			by = s.CallsBy(path)
		}
		total := 0
		for _, n := range by {
			total += n
		}
		rig.WriteJSON(w, map[string]any{"total": total, "by": by})
	})
	s.mux.HandleFunc("GET /_sim/calls/list", func(w http.ResponseWriter, _ *http.Request) { rig.WriteJSON(w, s.Calls()) })
	s.mux.HandleFunc("POST /_sim/calls", func(w http.ResponseWriter, req *http.Request) {
		var a Arrival
		err := rig.Decode(req, &a)
		var ids []string
		if err == nil {
			ids, err = s.Arrive(a)
		}
		if err != nil {
			http.Error(w, "want calls such as {\"type\":\"Inbound\",\"count\":3}: "+err.Error(), http.StatusBadRequest)
			return
		}
		rig.WriteJSON(w, map[string]any{"ids": ids})
	})
	s.mux.HandleFunc("GET /_sim/webhooks", func(w http.ResponseWriter, _ *http.Request) { rig.WriteJSON(w, s.WebhookStats()) })
}
