package plugin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// locked is a pretend API that takes one key at a time, and quotes what it refuses.
type locked struct {
	url string
	sim *callsim.Sim
	key atomic.Pointer[string]
}

func newLocked(t *testing.T, key string) *locked {
	t.Helper()
	l := &locked{sim: callsim.New(callsim.Options{})}
	t.Cleanup(l.sim.Close)
	l.key.Store(&key)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if shown := req.Header.Get("Authorization"); shown != "Bearer "+*l.key.Load() {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprintf(w, `{"message":"%s is not %s"}`, strings.TrimPrefix(shown, "Bearer "), oldKey)
			return
		}
		l.sim.ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	l.url = srv.URL + "/api/v1"
	return l
}

const oldKey, newKey = "alphabetagamma", "deltaepsilonzeta" // without a common part, and like nothing else that is masked

// mountedSecret is a folder as Kubernetes mounts a secret: the file is a link through a
// link, and a new secret moves the inner one.
type mountedSecret struct {
	t      *testing.T
	folder string
	n      int
}

func (m *mountedSecret) set(content string) (path string) {
	m.t.Helper()
	m.n++
	version := fmt.Sprint("..", m.n)
	require.NoError(m.t, os.Mkdir(filepath.Join(m.folder, version), 0o700))
	file := filepath.Join(m.folder, version, "key")
	require.NoError(m.t, os.WriteFile(file, []byte(content), 0o600))
	when := time.Unix(1700000000, 0) // the same for all
	require.NoError(m.t, os.Chtimes(file, when, when))
	require.NoError(m.t, os.Symlink(version, filepath.Join(m.folder, "..tmp")))
	require.NoError(m.t, os.Rename(filepath.Join(m.folder, "..tmp"), filepath.Join(m.folder, "..data")))
	path = filepath.Join(m.folder, "key")
	if m.n == 1 {
		require.NoError(m.t, os.Symlink("..data/key", path))
	}
	return path
}

func withKeyFile(p parts, path string) parts {
	p.output = strings.Replace(p.output, "api_key: test-key", fmt.Sprintf("api_key_file: %q", path), 1)
	return p
}

func TestANewKeyInTheFileEndsThePauseForTheOldOne(t *testing.T) {
	t.Parallel()
	api, secret := newLocked(t, oldKey), &mountedSecret{t: t, folder: t.TempDir()}
	s := run(t, withKeyFile(dialParts(api.url), secret.set("\n "+oldKey+"\n")))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))

	revoked := newKey
	api.key.Store(&revoked)
	delivered := make(chan error, 1)
	go func() { delivered <- s.deliver(lead("b", "+12025550102")) }()
	saw := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(s.logs.String(), text) }, time.Minute, time.Millisecond, text)
	}
	saw("Dialing paused (setup): ")
	secret.set("\n")
	saw("API key file cannot be read again, so requests keep the last key: ")
	secret.set(newKey)
	require.NoError(t, <-delivered)
	saw("Dialing resumed (setup) after ")
	saw("API key file is readable again, after ")
	saw("API key replaced: ")
	assert.Equal(t, map[string]int{"a": 1, "b": 1}, api.sim.CallsBy("metadata.lead_id"))
	assert.Empty(t, s.out.all())

	again := "another"
	api.key.Store(&again)
	go func() { delivered <- s.deliver(lead("c", "+12025550103")) }()
	require.Eventually(t, func() bool { return strings.Count(s.logs.String(), "Dialing paused (setup): ") == 2 }, time.Minute, time.Millisecond)
	api.key.Store(&revoked)
	require.NoError(t, <-delivered)
	assert.Equal(t, 1, strings.Count(s.logs.String(), "API key file cannot be read again"))
	for _, key := range []string{oldKey, newKey} {
		assert.NotContains(t, s.logs.String(), key, "neither key is shown, whichever the API quotes")
	}
}

func TestAKeyFileThatHoldsNoKeyIsRefusedAtStart(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	for path, why := range map[string]string{
		filepath.Join(folder, "absent"):              "no such file",
		folder:                                       "is a directory",
		file("empty", " \n"):                         "must not be empty",
		file("many", "n0tforeyes\nn0tforeyes"):       "must not contain blanks",
		file("large", strings.Repeat("a", 70<<10)):   "bytes",
		file("mark", "\ufeffn0tforeyes\n"):           "byte order mark",
		file("prefix", "Bearer n0tforeyes-of-a-log"): `without "Bearer "`,
	} {
		for _, component := range []string{"happyrobot_dial: {%s}", "happyrobot_call: {%s, call_id: x}", "happyrobot_request: {%s, operation: getUsage}"} {
			b := service.NewStreamBuilder()
			require.NoError(t, b.AddInputYAML(`generate: {mapping: "root = {}", count: 1}`))
			require.NoError(t, b.AddOutputYAML(`drop: {}`))
			require.NoError(t, b.AddProcessorYAML(fmt.Sprintf(component, fmt.Sprintf("api_key_file: %q", path))))
			stream, err := b.Build()
			if err == nil {
				err = stream.Run(t.Context())
			}
			require.ErrorContains(t, err, "api_key_file: ")
			require.ErrorContains(t, err, path)
			require.ErrorContains(t, err, why)
			assert.NotContains(t, err.Error(), "n0tforeyes")
		}
	}
}
