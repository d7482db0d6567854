package doors

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// swapped is a process in streams mode that dials what is posted to it, and whose caches
// are swapped through the REST API.
type swapped struct {
	*program.Process
	t       *testing.T
	sim     *program.Callsim
	address string
	leads   string
}

func startSwapped(t *testing.T, ledger string) *swapped {
	t.Helper()
	return startSwappedOn(t, program.StartCallsim(t), ledger)
}

func startSwappedOn(t *testing.T, sim *program.Callsim, ledger string) *swapped {
	t.Helper()
	s := &swapped{t: t, sim: sim, address: freeAddress(t), leads: freeAddress(t)}
	resources := write(t, "resources.yaml", "cache_resources: [ { label: ledger, "+ledger+" } ]\n")
	stream := write(t, "dialer.yaml", fmt.Sprintf(`
input:
  http_server: { address: %q, path: /leads }
output:
  happyrobot_dial:
    api_key: %s
    base_url: %s
    ledger: ledger
    settle: 1s
    dedupe_key: ${! this.id }
    number_id: 64f0c0de00000000000000c1
    call_mapping: 'root = {"phone_number": this.phone, "metadata": {"lead_id": this.id}}'
    batching: { count: 1 }
    retry: { initial_interval: 10ms, max_interval: 50ms }
    failures: { drop: {} }
`, s.leads, apiKey, s.sim.BaseURL()))
	s.Process = program.Start(t, environ(t, s.sim.BaseURL()), "streams", "--api", "-o", write(t, "http.yaml", basicAuth("")),
		"-s", "http.address="+s.address, "-r", resources, stream)
	waitUntilItAnswers(t, s.Process, s.address, "/streams")
	return s
}

func (s *swapped) swap(ledger string) (status int) {
	s.t.Helper()
	status, body := request{http.MethodPost, "/resources/cache/ledger", "{" + ledger + "}"}.send(s.t, s.address, password)
	s.t.Log(status, body)
	return status
}

// dial posts a lead; it is answered once the lead was called, or was before.
func (s *swapped) dial(id string) (answered <-chan int) {
	s.t.Helper()
	answer := make(chan int, 1)
	go func() {
		defer close(answer)
		for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			res, err := http.Post("http://"+s.leads+"/leads", "application/json",
				strings.NewReader(fmt.Sprintf(`{"id":%q,"phone":"+12025550101"}`, id)))
			if err != nil {
				continue // the stream starts after the REST API
			}
			_ = res.Body.Close()
			answer <- res.StatusCode
			return
		}
	}()
	return answer
}

func (s *swapped) dialed(id string) {
	s.t.Helper()
	require.Equal(s.t, http.StatusOK, <-s.dial(id), s.Log())
}

func (s *swapped) logs(text string, times int) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return strings.Contains(s.Log(), text) }, patience, 10*time.Millisecond, "%s\n%s", text, s.Log())
	assert.Equal(s.t, times, strings.Count(s.Log(), text), text)
}

func TestALedgerThatIsSwappedIsNoticed(t *testing.T) {
	folder := t.TempDir()
	file := func(name string) string { return fmt.Sprintf("bbolt: { path: %q }", filepath.Join(folder, name)) }
	s := startSwapped(t, file("one.db"))
	s.dialed("a")
	s.dialed("a")
	assert.Equal(t, map[string]int{"a": 1}, s.sim.CallsByLead(t))

	require.Equal(t, http.StatusOK, s.swap(file("one.db")))
	s.dialed("a")
	s.logs(`Ledger reopened: cache \"ledger\" has the same contents as before.`, 1)
	assert.NotContains(t, s.Log(), "replaced")

	require.Equal(t, http.StatusOK, s.swap(file("two.db")))
	s.dialed("a")
	s.dialed("b")
	s.logs(`Ledger replaced: cache \"ledger\" has other contents now.`, 1)
	assert.Equal(t, map[string]int{"a": 2, "b": 1}, s.sim.CallsByLead(t), "as the warning says")

	require.Equal(t, http.StatusOK, s.swap("memory: {}"))
	s.dialed("c")
	s.dialed("c")
	s.logs(`Ledger replaced: cache \"ledger\" is of another type now`, 1)

	require.Equal(t, http.StatusOK, s.swap(file("two.db")))
	s.dialed("a")
	s.dialed("b")
	s.logs(`Ledger replaced: cache \"ledger\" has other contents now.`, 2)
	assert.Equal(t, map[string]int{"a": 2, "b": 1, "c": 1}, s.sim.CallsByLead(t))
}

func TestALedgerWhoseSwapFailedIsWaitedFor(t *testing.T) {
	folder := t.TempDir()
	s := startSwapped(t, fmt.Sprintf("bbolt: { path: %q }", filepath.Join(folder, "one.db")))
	s.dialed("a")
	require.NotEqual(t, http.StatusOK, s.swap(fmt.Sprintf("bbolt: { path: %q }", folder)), "a folder is no file")
	waits := s.dial("b")
	s.logs("Dialing paused (ledger): ", 1)
	assert.Equal(t, map[string]int{"a": 1}, s.sim.CallsByLead(t))

	require.Equal(t, http.StatusOK, s.swap(fmt.Sprintf("bbolt: { path: %q }", filepath.Join(folder, "one.db"))))
	assert.Equal(t, http.StatusOK, <-waits)
	s.dialed("a")
	s.logs("Dialing resumed (ledger) after ", 1)
	s.logs(`Ledger reopened: cache \"ledger\" has the same contents as before.`, 1)
	assert.Equal(t, map[string]int{"a": 1, "b": 1}, s.sim.CallsByLead(t))
}

const lostItsMark = `Ledger replaced: cache \"ledger\" has lost its mark:`

func TestALedgerOfAnothersIsSwappedAndThatIsNoticed(t *testing.T) {
	folder := t.TempDir()
	files := fmt.Sprintf("file: { directory: %q }", folder)
	s := startSwapped(t, files)
	s.dialed("a")
	s.dialed("a")

	require.Equal(t, http.StatusOK, s.swap(files))
	s.dialed("a")
	assert.NotContains(t, s.Log(), "replaced", "the contents are the same")
	assert.Equal(t, map[string]int{"a": 1}, s.sim.CallsByLead(t))

	for n := range 2 {
		require.Equal(t, http.StatusOK, s.swap("memory: {}"))
		s.dialed("a")
		s.dialed("a")
		s.logs(lostItsMark, n+1)
		assert.Equal(t, map[string]int{"a": 2 + n}, s.sim.CallsByLead(t), "as the warning says")
	}

	require.Equal(t, http.StatusOK, s.swap(files))
	s.dialed("a")
	s.dialed("b")
	s.logs(lostItsMark, 3)
	assert.Equal(t, map[string]int{"a": 3, "b": 1}, s.sim.CallsByLead(t))

	require.Equal(t, http.StatusOK, s.swap(fmt.Sprintf("bbolt: { path: %q }", filepath.Join(t.TempDir(), "one.db"))))
	s.dialed("c")
	s.dialed("c")
	s.logs(`Ledger replaced: cache \"ledger\" has other contents now.`, 1)
	assert.Equal(t, map[string]int{"a": 3, "b": 1, "c": 1}, s.sim.CallsByLead(t))
}

// What cannot record a call gets none, whatever was there before.
func TestALedgerThatIsSwappedForNothingPlacesNoCalls(t *testing.T) {
	for was, kind := range map[string]string{
		"ours":     fmt.Sprintf("bbolt: { path: %q }", filepath.Join(t.TempDir(), "one.db")),
		"anothers": fmt.Sprintf("file: { directory: %q }", t.TempDir()),
	} {
		t.Run(was, func(t *testing.T) {
			s := startSwapped(t, kind)
			s.dialed("a")
			require.Equal(t, http.StatusOK, s.swap("noop: {}"))
			waits := s.dial("b")
			s.logs("Dialing paused (ledger): ", 1)
			s.logs("cannot hold a ledger, because it adds a key that it has already", 1)
			assert.Equal(t, map[string]int{"a": 1}, s.sim.CallsByLead(t))

			require.Equal(t, http.StatusOK, s.swap(kind))
			assert.Equal(t, http.StatusOK, <-waits)
			s.dialed("a")
			assert.Equal(t, map[string]int{"a": 1, "b": 1}, s.sim.CallsByLead(t))
			assert.NotContains(t, s.Log(), "Ledger replaced", "it is the same again")
		})
	}
}
