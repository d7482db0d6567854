package doors

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestASecondProcessOnTheSameLedgerFileDoublesNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	ledger := fmt.Sprintf("bbolt: { path: %q }", path)
	first := startSwapped(t, ledger)
	first.dialed("before")
	require.NoError(t, os.Remove(path))

	second := startSwappedOn(t, first.sim, ledger) // nothing is there that would stop it
	want := map[string]int{"before": 1}
	for n := range 25 {
		id := fmt.Sprint("lead-", n)
		want[id] = 1
		first.dial(id)
		require.Equal(t, http.StatusOK, <-second.dial(id), second.Log())
	}
	first.logs("Dialing paused (ledger): ", 1)
	first.logs("Cache file unusable, nothing is written to it: ", 1)
	assert.Contains(t, first.Log(), "is another file now than the one that was opened")
	assert.Equal(t, want, first.sim.CallsByLead(t))
}
