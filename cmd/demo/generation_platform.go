package main

import (
	"encoding/json"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// today is the platform.
func today() (*generation, error) {
	sim, err := platform.Listen("127.0.0.1:0", platform.Options{Speed: 120})
	if err != nil {
		return nil, err
	}
	// As in v1.
	sim.Sim.Inject(platform.Fault{Kind: platform.LoseAnswer, Operation: "triggerRun", After: 40, Times: 2})
	sim.Sim.Inject(platform.Fault{Kind: platform.Refuse, Operation: "triggerRun", Status: 429, RetryAfter: "1", After: 100, Times: 1})
	return &generation{
		url: sim.URL,
		settings: map[string]string{
			"HAPPYROBOT_PLATFORM_URL": sim.URL, "HAPPYROBOT_PLATFORM_REQUESTS_PER_SECOND": "1000",
			"HAPPYROBOT_WORKFLOW": platform.DefaultWorkflow, "MAX_BACKLOG": "0",
		},
		files:    []string{"config/platform_kafka_to_runs.yaml", "config/platform_enrich_crm_events.yaml"},
		receipts: "runs",
		words:    words{made: "runs started", whose: "leads whose last session ended", once: "started one run"},
		ending: func(event []byte) (string, ending) {
			var e struct {
				Lead struct {
					ID string `json:"id"`
				} `json:"lead"`
				Run struct {
					ID         string `json:"id"`
					Outcome    string `json:"outcome"`
					Transcript string `json:"transcript"`
				} `json:"run"`
			}
			_ = json.Unmarshal(event, &e)
			return e.Lead.ID, ending{e.Run.ID, e.Run.Outcome, e.Run.Transcript}
		},
		spell: func(outcome string) string { return outcome },
		truth: func() (fates []fate) {
			for _, run := range sim.Sim.Runs() {
				for _, sent := range run.Payloads {
					lead, _ := sent["lead_id"].(string)
					fates = append(fates, fate{lead, run.ID, run.Outcome})
				}
			}
			return fates
		},
		close: sim.Close,
	}, nil
}
