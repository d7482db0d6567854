package plugin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorder is an API that takes any call, whatever its number, and keeps what it was
// sent: what is refused was refused here.
type recorder struct {
	url string

	mu    sync.Mutex
	calls []string // as JSON
}

func startRecorder(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method != http.MethodPost {
			_, _ = io.WriteString(w, `{"calls":[]}`)
			return
		}
		body, _ := io.ReadAll(req.Body)
		var calls []json.RawMessage
		if err := json.Unmarshal(body, &calls); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		created := []map[string]any{}
		for _, call := range calls {
			r.calls = append(r.calls, string(call))
			var asked struct{ Metadata any }
			_ = json.Unmarshal(call, &asked)
			created = append(created, map[string]any{"id": fmt.Sprintf("65ee%020d", len(r.calls)), "metadata": map[string]any{"custom": asked.Metadata}})
		}
		_ = json.NewEncoder(w).Encode(created)
	}))
	t.Cleanup(srv.Close)
	r.url = srv.URL
	return r
}

// all is what was sent, without our reference.
func (r *recorder) all(t *testing.T) (calls []map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, raw := range r.calls {
		var call map[string]any
		require.NoError(t, json.Unmarshal([]byte(raw), &call))
		metadata := call["metadata"].(map[string]any)
		if delete(metadata, "dial_ref"); len(metadata) == 0 {
			delete(call, "metadata")
		}
		calls = append(calls, call)
	}
	return calls
}

// numbers is which number was called for each lead, by metadata.lead_id.
func (r *recorder) numbers(t *testing.T) map[string]string {
	numbers := map[string]string{}
	for _, call := range r.all(t) {
		numbers[call["metadata"].(map[string]any)["lead_id"].(string)] = call["phone_number"].(string)
	}
	return numbers
}
