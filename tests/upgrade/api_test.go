package upgrade

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// placed is a call that the API was asked for.
type placed struct {
	id     string
	number string
	body   []byte // as received
}

// anyAPI takes every call, whatever its number, its language and its members.
// callsim refuses what a strict API would: such a lead leaves no record, and the
// most odd ones would be missing from the ledger. callsim answers all else, and
// lists none of these calls.
type anyAPI struct {
	URL  string
	name string // begins the ids of calls
	sim  *callsim.Sim

	mu    sync.Mutex
	calls []placed
	fails int // dials that are answered 500 and create nothing
}

func startAPI(t *testing.T, name string) *anyAPI {
	t.Helper()
	a := &anyAPI{name: name, sim: callsim.New(callsim.Options{})}
	srv := httptest.NewServer(a)
	t.Cleanup(func() { a.sim.Close(); srv.Close() })
	a.URL = srv.URL + "/api/v1"
	return a
}

// failNext lets the next n dials fail.
func (a *anyAPI) failNext(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.fails = n
}

func (a *anyAPI) placed() []placed {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]placed(nil), a.calls...)
}

func (a *anyAPI) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if !strings.Contains(req.URL.Path, "/dial/") {
		a.sim.ServeHTTP(w, req)
		return
	}
	body, err := io.ReadAll(req.Body)
	var items []json.RawMessage
	if err != nil || json.Unmarshal(body, &items) != nil {
		http.Error(w, `{"message":"the body must be a list"}`, http.StatusUnprocessableEntity)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fails > 0 {
		a.fails--
		http.Error(w, `{"message":"failed on request"}`, http.StatusInternalServerError)
		return
	}
	reply := make([]map[string]any, len(items))
	for i, item := range items {
		var call struct {
			Number   string          `json:"phone_number"`
			Metadata json.RawMessage `json:"metadata"`
		}
		_ = json.Unmarshal(item, &call)
		id := fmt.Sprintf("%s%0*x", a.name, 24-len(a.name), len(a.calls)+1)
		a.calls = append(a.calls, placed{id: id, number: call.Number, body: item})
		reply[i] = map[string]any{
			"id": id, "organization_id": "65ee00000000000000000001", "created": time.Now().UTC().Format(time.RFC3339),
			"metadata": map[string]any{"custom": call.Metadata},
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(reply)
}
