// Package doors tries what others could reach of the distribution while it runs:
//
//	documented_test.go  the commands that the documentation shows
//	doors_test.go       each of them, probed from outside
//	api_test.go         the REST API of streams, behind its flag and a password
//	leftout_test.go     what the distribution does not have, and does not start with
//	shown_test.go       what a process prints
//	listeners_test.go   which sockets a process listens on
//	absent_test.go      what a config is told that names a component of Connect's
//	files_test.go       who may read what a process writes
//	ready_test.go       what /ready shows while dialing is paused
//	stop_test.go        how soon a process ends that waits for something
//	images_test.go      what the image is made of; readonly_linux_test.go runs its command
package doors

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

func TestMain(m *testing.M) { program.Main(m) }

const (
	apiKey        = "key-that-nobody-may-read"
	webhookSecret = "secret-that-nobody-may-read"
)

// patience is for a process to listen, and for a path to answer.
const patience = 2 * time.Minute

// open are the paths that a process without the REST API answers: readiness,
// metrics, and what Benthos has always there, which shows neither config nor key.
var open = []string{"/ready", "/metrics", "/stats", "/ping", "/version", "/endpoints"}

// known are the paths that Benthos serves in some mode or setting, and what people try.
func known(streams []string) (paths []string) {
	paths = slices.Concat(open, []string{
		"/", "/benthos", "/index.html", "/config", "/env", "/health", "/healthz", "/live", "/status", "/api", "/api/v1", "/admin",
		"/debug", "/debug/", "/debug/vars", "/debug/config", "/debug/config/json", "/debug/config/yaml", "/debug/stack",
		"/debug/pprof", "/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1", "/debug/pprof/heap",
		"/debug/pprof/goroutine", "/debug/pprof/block", "/debug/pprof/mutex", "/debug/pprof/allocs", "/debug/pprof/symbol",
		"/debug/pprof/trace", "/debug/pprof/threadcreate",
		"/streams", "/streams/", "/streams/x", "/streams/x/stats",
		"/resources", "/resources/cache/ledger", "/resources/cache/cursor", "/resources/rate_limit/happyrobot_api",
		"/resources/input/x", "/resources/output/x", "/resources/processor/x",
		"/inputs", "/inputs/x", "/inputs/x/uptime", "/outputs", "/outputs/x", "/outputs/x/uptime",
		"/get", "/get/stream", "/get/ws", "/post", "/post/ws", "/webhook", "/execute",
	})
	for _, s := range streams {
		paths = append(paths, "/streams/"+s, "/streams/"+s+"/stats")
		for _, below := range []string{"/ready", "/inputs", "/outputs", "/stats", "/metrics", "/post", "/get"} {
			paths = append(paths, "/"+s+below)
		}
	}
	for _, path := range slices.Clone(paths) {
		paths = append(paths, "/benthos"+path)
	}
	return paths
}

// allowed are the paths that may answer.
func allowed(streams []string) (paths []string) {
	paths = slices.Clone(open)
	for _, s := range streams {
		paths = append(paths, "/"+s+"/ready")
	}
	for _, path := range slices.Clone(paths) {
		paths = append(paths, "/benthos"+path)
	}
	return paths
}

func TestEveryDocumentedCommandShowsOnlyReadinessAndMetrics(t *testing.T) {
	sim := program.StartCallsim(t, "--fault", `{"kind":"refuse","status":429,"operation":"*"}`) // so that none ends
	commands := documented(t)
	if testing.Short() {
		commands = commands[:2]
	}
	for _, command := range commands {
		t.Run(command.String(), func(t *testing.T) {
			t.Parallel()
			address, marker := freeAddress(t), filepath.Join(t.TempDir(), "a-program-ran")
			process := program.Start(t, environ(t, sim.BaseURL()), command.with("-s", "http.address="+address)...)
			defer process.Kill() // it would wait for servers that are not there
			for _, path := range allowed(command.streams()) {
				waitUntilItAnswers(t, process, address, path) // a stream's readiness comes last
			}

			attack(t, address, marker, command.streams())
			bodies := map[string]string{}
			for _, path := range known(command.streams()) {
				if status, body := get(t, address, path); status != http.StatusNotFound {
					bodies[path] = body
				}
			}
			assert.ElementsMatch(t, allowed(command.streams()), slices.Collect(maps.Keys(bodies)), "the paths that answer")
			assert.ElementsMatch(t, allowed(command.streams()), listed(t, bodies["/endpoints"]), "the paths that the process says it has")
			for path, body := range bodies {
				assert.NotContains(t, body, apiKey, path)
				assert.NotContains(t, body, webhookSecret, path)
			}
			assert.NoFileExists(t, marker)
			probeListeners(t, process, address)
		})
	}
}

// listed are the paths that a process lists, each of which has a twin below /benthos.
func listed(t *testing.T, endpoints string) (paths []string) {
	t.Helper()
	var described map[string]string
	require.NoError(t, json.Unmarshal([]byte(endpoints), &described))
	for path := range described {
		paths = append(paths, path, "/benthos"+path)
	}
	return paths
}

// attack asks for what only the REST API would do, as a web page could and as a
// program could: to run a program, to replace the ledger, to read the key.
func attack(t *testing.T, address, marker string, streams []string) {
	t.Helper()
	for _, try := range attacks(marker, streams) {
		for _, prefix := range []string{"", "/benthos"} {
			try.path = prefix + try.path
			status, body := try.send(t, address, "")
			assert.Equal(t, http.StatusNotFound, status, "%s %s", try.method, try.path)
			assert.NotContains(t, body, apiKey)
			try.path = strings.TrimPrefix(try.path, prefix)
		}
	}
}

type request struct{ method, path, body string }

func attacks(marker string, streams []string) []request {
	program := fmt.Sprintf(`{"input":{"generate":{"count":1,"mapping":"root = {}"}},"pipeline":{"processors":[
		{"command":{"name":"touch","args_mapping":"root = [ \"%s\" ]"}}]},"output":{"drop":{}}}`, marker)
	requests := []request{
		{http.MethodPost, "/streams/evil", program},
		{http.MethodPost, "/streams/evil?chilled=true", program},
		{http.MethodPost, "/streams", `{"evil":` + program + `}`},
		{http.MethodPost, "/streams/key", `{"input":{"generate":{"count":1,"mapping":"root = env(\"HAPPYROBOT_API_KEY\")"}},"output":{"drop":{}}}`},
		{http.MethodGet, "/streams/key", ""},
		{http.MethodPost, "/resources/cache/ledger", `{"memory":{}}`},
		{http.MethodPost, "/resources/cache/ledger?chilled=true", `{"memory":{}}`},
		{http.MethodPost, "/inputs/evil", `{"subprocess":{"name":"touch","args":["` + marker + `"]}}`},
		{http.MethodPost, "/outputs/evil", `{"subprocess":{"name":"touch","args":["` + marker + `"]}}`},
	}
	for _, s := range streams {
		requests = append(requests,
			request{http.MethodGet, "/streams/" + s, ""},
			request{http.MethodPut, "/streams/" + s, program},
			request{http.MethodPatch, "/streams/" + s, program},
			request{http.MethodDelete, "/streams/" + s, ""})
	}
	return requests
}

// send sends a request as a web page of somebody else's would: no preflight is asked
// for a plain text.
func (r request) send(t *testing.T, address, password string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), r.method, "http://"+address+r.path, strings.NewReader(r.body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "text/plain")
	req.Header.Set("Origin", "http://somewhere.example")
	req.Host = "somewhere.example"
	if password != "" {
		req.SetBasicAuth(user, password)
	}
	client := http.Client{Timeout: patience}
	res, err := client.Do(req)
	require.NoError(t, err, "%s %s", r.method, r.path)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

func get(t *testing.T, address, path string) (int, string) {
	t.Helper()
	return request{http.MethodGet, path, ""}.send(t, address, "")
}

// environ are settings under which every shipped pipeline starts, with no server but
// the pretend API.
func environ(t *testing.T, baseURL string) []string {
	t.Helper()
	return program.Settings(t, "HAPPYROBOT_API_KEY="+apiKey, "HAPPYROBOT_WEBHOOK_SECRET="+webhookSecret,
		"HAPPYROBOT_BASE_URL="+baseURL, "WEBHOOK_ADDRESS=127.0.0.1:0",
		"KAFKA_BROKERS=127.0.0.1:1", "POSTGRES_DSN=postgres://127.0.0.1:1/none?sslmode=disable", "REDIS_URL=redis://127.0.0.1:1")
}

// freeAddress is one that nobody listened on a moment ago. Outgoing connections take their ports
// from a higher range, so none takes this one before the process listens on it.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 10_000+rand.N(10_000)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no port is free")
	return ""
}

// waitUntilItListens returns when the process serves readiness.
func waitUntilItListens(t *testing.T, process *program.Process, address string) {
	t.Helper()
	waitUntilItAnswers(t, process, address, "/ready")
}

func waitUntilItAnswers(t *testing.T, process *program.Process, address, path string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		res, err := http.Get("http://" + address + path)
		if err == nil {
			res.Body.Close()
			if res.StatusCode != http.StatusNotFound {
				return
			}
		}
		select {
		case <-process.Ended():
			require.FailNow(t, "the process ended", process.Log())
		default:
		}
		require.True(t, time.Now().Before(deadline), "the process does not serve %s: %s", path, process.Log())
	}
}

func TestAWrittenAddressWins(t *testing.T) {
	address := freeAddress(t)
	config := write(t, "config.yaml", "http: { address: "+address+" }\n"+endless)
	waitUntilItListens(t, program.Start(t, os.Environ(), "run", config), address)
}

// endless is a pipeline that needs nothing and does not end.
const endless = `
input: { generate: { interval: 1h, mapping: 'root = {}' } }
output: { drop: {} }
`

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestTheDefaultAddressIsLoopback(t *testing.T) {
	for _, config := range []string{"", "http: {}\n", "http: { enabled: true }\n"} {
		out, err := program.Run(t, os.Environ(), "create", "stdin//stdout")
		require.NoError(t, err, out)
		assert.Contains(t, out, "address: 127.0.0.1:4195")
		out, err = program.Run(t, os.Environ(), "echo", write(t, "config.yaml", config+endless))
		require.NoError(t, err, out)
		assert.NotContains(t, out, "0.0.0.0")
	}
	// Benthos says where it listens before it tries to.
	log := program.Start(t, os.Environ(), "run", write(t, "config.yaml", endless))
	require.Eventually(t, func() bool { return strings.Contains(log.Log(), "Listening for HTTP requests") }, patience, 10*time.Millisecond)
	assert.Contains(t, log.Log(), "http://127.0.0.1:4195")
}

// The image's address stands before the command, so that a command with settings of
// its own keeps it.
func TestTheImagesEntrypointIsKeptByACommandOfOnesOwn(t *testing.T) {
	program.Long(t, "it starts a process for each form of the command")
	entrypoint, command := image(t)
	require.Equal(t, []string{"/benthos-happyrobot", "-s", "http.address=0.0.0.0:4195"}, entrypoint)
	assert.Contains(t, command, "shutdown_timeout=90s", "without it the test shows nothing")

	address := freeAddress(t)
	config := write(t, "config.yaml", endless)
	root := []string{"-s", "http.address=" + address}
	for name, args := range map[string][]string{
		"run":            {"-s", "http.address=" + address, "run", "-s", "shutdown_timeout=9s", config},
		"streams":        {"-s", "http.address=" + address, "streams", "-s", "shutdown_timeout=9s", config},
		"config":         {"-s", "http.address=" + address, "-s", "shutdown_timeout=9s", "-c", config},
		"in one word":    {"-s=http.address=" + address, "run", "-s", "shutdown_timeout=9s", config},
		"by its name":    {"--set", "shutdown_timeout=9s", "--set=http.address=" + address, "run", "--set", "shutdown_timeout=8s", config},
		"nothing to set": {"-s", "http.address=" + address, "run", config},
	} {
		t.Run(name, func(t *testing.T) {
			process := program.Start(t, os.Environ(), args...)
			waitUntilItListens(t, process, address)
			process.Stop(t)
		})
	}
	t.Run("commands that take none", func(t *testing.T) {
		for _, args := range [][]string{
			{"test", "-r", "resources/local.yaml", "config/quickstart.yaml"}, {"lint", config}, {"list"}, {"echo", config}, {"--version"},
		} {
			out, err := program.Run(t, environ(t, ""), slices.Concat(root, args)...)
			assert.NoError(t, err, out)
		}
	})
	t.Run("a later one wins", func(t *testing.T) {
		other := freeAddress(t)
		waitUntilItListens(t, program.Start(t, os.Environ(), slices.Concat(root, []string{"run", "-s", "http.address=" + other, config})...), other)
	})
}

func TestTheDocumentationOpensNoPublicAddress(t *testing.T) {
	files := []string{filepath.Join(program.Root, "README.md")}
	for _, pattern := range []string{"config/*.yaml", "resources/*.yaml", "tests/services/*"} {
		more, err := filepath.Glob(filepath.Join(program.Root, pattern))
		require.NoError(t, err)
		files = append(files, more...)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "0.0.0.0", file)
	}
}
