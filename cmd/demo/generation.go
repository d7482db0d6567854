package main

import (
	"encoding/json"
	"errors"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// generation is one of the two APIs: a pretend one, the pipelines that run on it, and how
// what they write is read.
type generation struct {
	url      string
	settings map[string]string // of the pipelines, beside those that both have
	files    []string          // from leads to receipts, and from those to enriched events
	receipts string            // topic
	words    words

	ending func(event []byte) (lead string, end ending) // what is missing disagrees with the truth
	spell  func(status string) string                   // in the documented spelling
	truth  func() []fate
	close  func() error
}

// words are what the report calls things: calls or runs, whose ends, what became of a lead.
type words struct{ made, whose, once string }

// fate is one call or run that was made for a lead, as the pretend API knows it.
type fate struct{ lead, id, endsAs string }

// v1 is the older generation.
func v1() (*generation, error) {
	sim, err := callsim.Listen("127.0.0.1:0", callsim.Options{Speed: 30})
	if err != nil {
		return nil, err
	}
	// A day at an API: answers get lost, and now and then it is too busy.
	sim.Sim.Inject(callsim.Fault{Kind: callsim.LoseAnswer, After: 2, Times: 2})
	sim.Sim.Inject(callsim.Fault{Kind: callsim.Refuse, Status: 429, RetryAfter: "1", After: 5, Times: 1})
	return &generation{
		url: sim.URL,
		settings: map[string]string{
			"HAPPYROBOT_BASE_URL": sim.URL, "HAPPYROBOT_REQUESTS_PER_SECOND": "1000",
			"HAPPYROBOT_NUMBER_ID": "64f0c0de00000000000000c1", "HAPPYROBOT_USE_CASE_ID": "64f0c0de00000000000000b1",
		},
		files:    []string{"config/kafka_to_calls.yaml", "config/enrich_crm_events.yaml"},
		receipts: "calls",
		words:    words{made: "calls placed", whose: "leads whose call ended", once: "was called once"},
		ending: func(event []byte) (string, ending) {
			var e struct {
				Lead struct {
					ID string `json:"id"`
				} `json:"lead"`
				Call struct {
					ID         string `json:"id"`
					Status     string `json:"status"`
					Transcript string `json:"transcript"`
				} `json:"call"`
			}
			_ = json.Unmarshal(event, &e)
			return e.Lead.ID, ending{e.Call.ID, e.Call.Status, e.Call.Transcript}
		},
		spell: func(status string) string { return string(happyrobot.Status(status).Canonical()) },
		truth: func() (fates []fate) {
			for _, call := range sim.Sim.Calls() {
				lead, _ := call.Custom["lead_id"].(string)
				fates = append(fates, fate{lead, call.ID, call.EndsAs})
			}
			return fates
		},
		close: sim.Close,
	}, nil
}

// closed adds what closing the pretend API fails with.
func (g *generation) closed(err error) error { return errors.Join(err, g.close()) }
