package program

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// Callsim is the simulator as a process.
type Callsim struct {
	*Process
	Host string // such as http://127.0.0.1:1234
}

var listens = regexp.MustCompile(`listens at (http://[^/]+)/`)

// StartCallsim runs the simulator on a free port until the test ends.
func StartCallsim(t *testing.T, args ...string) *Callsim {
	t.Helper()
	c := &Callsim{Process: start(t, nil, simulator, append([]string{"--address", "127.0.0.1:0"}, args...)...)}
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if said := listens.FindStringSubmatch(c.Log()); said != nil {
			c.Host = said[1]
			return c
		}
		select {
		case <-c.ended:
			t.Fatalf("callsim ended instead of listening: %s", c.Log())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("callsim does not listen")
		}
	}
}

// BaseURL is that of the pretend API.
func (c *Callsim) BaseURL() string { return c.Host + "/api/v1" }

// CallsByLead is the ground truth: the calls placed for each metadata.lead_id.
func (c *Callsim) CallsByLead(t *testing.T) map[string]int {
	t.Helper()
	var truth struct {
		By map[string]int `json:"by"`
	}
	c.control(t, http.MethodGet, "calls?by=metadata.lead_id", nil, &truth)
	return truth.By
}

// Calls are all calls there are, in order of creation.
func (c *Callsim) Calls(t *testing.T) (calls []callsim.CallRecord) {
	t.Helper()
	c.control(t, http.MethodGet, "calls/list", nil, &calls)
	return calls
}

// Arrive makes calls arrive.
func (c *Callsim) Arrive(t *testing.T, a callsim.Arrival) {
	t.Helper()
	c.control(t, http.MethodPost, "calls", a, new(any))
}

// AwaitCalls waits until there are n calls, however they came to be.
func (c *Callsim) AwaitCalls(t *testing.T, n int) {
	t.Helper()
	c.control(t, http.MethodPost, "await", map[string]any{"calls": true, "times": n, "within": "90s"}, new(any))
}

// Faults tells the rules and how often they struck.
func (c *Callsim) Faults(t *testing.T) (faults []callsim.FaultState) {
	t.Helper()
	c.control(t, http.MethodGet, "faults", nil, &faults)
	return faults
}

// Inject adds a rule.
func (c *Callsim) Inject(t *testing.T, f callsim.Fault) {
	t.Helper()
	c.control(t, http.MethodPost, "faults", f, &struct{}{})
}

func (c *Callsim) control(t *testing.T, method, path string, body, into any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	sent, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Host+"/_sim/"+path, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(res.Body, 1000))
		t.Fatalf("%s /_sim/%s: status %d: %s", method, path, res.StatusCode, said)
	}
	if err := json.NewDecoder(res.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}
