package doors

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

const (
	user     = "operator"
	password = "open sesame"
)

// basicAuth is an http section with the hash that the documentation shows how to make.
func basicAuth(more string) string {
	hash := sha256.Sum256([]byte(password))
	return fmt.Sprintf("http: { basic_auth: { enabled: true, username: %s, password_hash: %q }%s }\n",
		user, base64.StdEncoding.EncodeToString(hash[:]), more)
}

func TestTheRESTAPIIsBehindAPassword(t *testing.T) {
	sim := program.StartCallsim(t)
	address, marker := freeAddress(t), filepath.Join(t.TempDir(), "a-program-ran")
	streams := []string{"kafka_to_calls"}
	process := program.Start(t, environ(t, sim.BaseURL()), "streams", "--api", "-o", write(t, "http.yaml", basicAuth("")),
		"-s", "http.address="+address, "-r", "resources/local.yaml", "config/kafka_to_calls.yaml")
	defer process.Kill() // it would wait for Kafka
	waitUntilItAnswers(t, process, address, "/streams")

	for _, wrong := range []string{"", "open Sesame"} {
		answered := 0
		for _, path := range known(streams) {
			status, body := request{http.MethodGet, path, ""}.send(t, address, wrong)
			if status != http.StatusNotFound {
				answered++
				assert.Equal(t, http.StatusUnauthorized, status, path)
				assert.NotContains(t, body, apiKey, path)
			}
		}
		assert.Greater(t, answered, len(allowed(streams)), "it is there, and refuses")
		for _, try := range attacks(marker, streams) {
			status, _ := try.send(t, address, wrong)
			assert.Contains(t, []int{http.StatusUnauthorized, http.StatusNotFound}, status, "%s %s", try.method, try.path)
		}
	}

	// With the password it is Benthos' own API, which shows configs with their keys.
	for _, path := range []string{"/streams", "/metrics", "/streams/kafka_to_calls"} {
		status, _ := request{http.MethodGet, path, ""}.send(t, address, password)
		assert.Equal(t, http.StatusOK, status, path)
	}
	status, _ := request{http.MethodGet, "/ready", ""}.send(t, address, password)
	assert.Equal(t, http.StatusServiceUnavailable, status, "there is no Kafka")

	// Whoever has the password still runs no program.
	for _, try := range attacks(marker, nil)[:3] {
		status, body := try.send(t, address, password)
		assert.GreaterOrEqual(t, status, 400, try.path)
		assert.Contains(t, body, "command", try.path)
	}
	status, body := request{http.MethodPost, "/streams/good", endless}.send(t, address, password)
	assert.Equal(t, http.StatusOK, status, body)
	assert.NoFileExists(t, marker)
	probeListeners(t, process, address)
}

// Nothing that could show a config starts without a password, and nothing listens
// before that is decided.
func TestAnOpenDoorIsRefusedAtStart(t *testing.T) {
	const auth = "http.basic_auth.enabled"
	http := func(section string) string { return write(t, "config.yaml", "http: { "+section+" }\n"+endless) }
	root := func(text string) string { return write(t, "root.yaml", text) }
	stream := write(t, "stream.yaml", endless)
	mapping := func(text string) string {
		return write(t, "config.yaml", fmt.Sprintf("metrics: { mapping: %q, prometheus: {} }\n", text)+endless)
	}
	for name, test := range map[string]struct {
		args []string
		says []string
	}{
		"--api alone":                 {[]string{"streams", "--api", stream}, []string{"--api", auth, "password_hash", "openssl"}},
		"--api before the command":    {[]string{"--api", "streams", stream}, []string{"--api", auth}},
		"--api, authentication off":   {[]string{"streams", "--api", "-o", root(strings.Replace(basicAuth(""), "enabled: true", "enabled: false", 1)), stream}, []string{"--api", auth}},
		"--api, turned off by -s":     {[]string{"streams", "--api", "-o", root(basicAuth("")), "-s", auth + "=false", stream}, []string{"--api", auth}},
		"--api, no password":          {[]string{"streams", "--api", "-s", auth + "=true", stream}, []string{"password_hash"}},
		"--api, an empty password":    {[]string{"streams", "--api", "-s", auth + "=true", "-s", "http.basic_auth.username=u", "-s", "http.basic_auth.password_hash=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", stream}, []string{"empty password"}},
		"--api and chilled":           {[]string{"streams", "--chilled", "--api", stream}, []string{"--api", auth}},
		"--no-api=false":              {[]string{"streams", "--no-api=false", stream}, []string{"--no-api=false", "--api", "basic_auth"}},
		"--api and --no-api":          {[]string{"streams", "--api", "--no-api", "-o", root(basicAuth("")), stream}, []string{"--no-api"}},
		"--api with run":              {[]string{"run", "--api", stream}, []string{"--api", "streams"}},
		"debug endpoints":             {[]string{"run", http("debug_endpoints: true")}, []string{"http.debug_endpoints", auth}},
		"debug endpoints, chilled":    {[]string{"run", "--chilled", http("debug_endpoints: true")}, []string{"http.debug_endpoints", auth}},
		"debug endpoints by -c":       {[]string{"-c", http("debug_endpoints: true")}, []string{"http.debug_endpoints", auth}},
		"debug endpoints by -s":       {[]string{"run", "-s", "http.debug_endpoints=true", stream}, []string{"http.debug_endpoints", auth}},
		"debug endpoints by -s http":  {[]string{"run", "-s", "http=debug_endpoints: true", stream}, []string{"http.debug_endpoints", auth}},
		"debug endpoints before run":  {[]string{"-s", "http.debug_endpoints=true", "run", stream}, []string{"http.debug_endpoints", auth}},
		"debug endpoints before all":  {[]string{"--chilled", "-s", "http.debug_endpoints=true", "run", stream}, []string{"http.debug_endpoints", auth}},
		"debug endpoints of streams":  {[]string{"streams", "-o", root("http: { debug_endpoints: true }\n"), stream}, []string{"http.debug_endpoints", auth}},
		"debug endpoints of -c":       {[]string{"-c", root("http: { debug_endpoints: true }\n"), "streams", stream}, []string{"http.debug_endpoints", auth}},
		"an empty address":            {[]string{"run", http(`address: "${THERE_IS_NO_SUCH_VARIABLE:}"`)}, []string{"http.address", "127.0.0.1"}},
		"no address":                  {[]string{"run", http("address: null")}, []string{"http.address", "127.0.0.1"}},
		"metrics that show variables": {[]string{"run", mapping(`meta key = env("HAPPYROBOT_API_KEY")`)}, []string{"metrics.mapping", "env"}},
		"metrics that show files":     {[]string{"run", mapping(`meta key = file("/etc/hosts").string()`)}, []string{"metrics.mapping", "file"}},
		"metrics that hide a mapping": {[]string{"run", mapping(`meta key = "env(\"HOME\")".bloblang(this)`)}, []string{"metrics.mapping", "bloblang"}},
		"resources that are dropped":  {[]string{"streams", "-s", "http.enabled=false", "-o", root("cache_resources: [ { label: ledger, memory: {} } ]\n"), stream}, []string{"cache_resources", "-r"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := program.Run(t, environ(t, ""), test.args...)
			require.Error(t, err, out)
			for _, word := range test.says {
				assert.Contains(t, out, word)
			}
			assert.NotContains(t, out, "Listening for HTTP requests")
		})
	}
}

// Benthos decodes a hash, and does not compare its text.
func TestAnEmptyPasswordIsRefusedAtStart(t *testing.T) {
	const sha256Hash = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
	// Made with bcrypt and scrypt of the empty text.
	const bcryptHash, scryptHash = "JDJhJDA0JFJKRGZkaXpBUlo2bEpvU1piZWJOU3VyUmFINzk3enpmbFllTnc4QUNrVUVsQ1E5ZDdqdWlT", "bm0HIKV2ai+ZZ5r42/eHlNjP5MK2WOyCodAFwNVFgoQ="
	stream := write(t, "stream.yaml", endless)
	for name, auth := range map[string]string{
		"sha256":             fmt.Sprintf("password_hash: %q", sha256Hash),
		"a line end":         fmt.Sprintf("password_hash: %q", sha256Hash+"\n"),
		"a block":            "algorithm: sha256, password_hash: '47DEQpj8HBSa+/TImW+5JCeuQeRk\n\n  m5NMpJWZG3hSuFU='",
		"CRLF":               fmt.Sprintf("password_hash: %q", sha256Hash[:20]+"\r\n"+sha256Hash[20:]+"\r\n"),
		"md5":                "algorithm: md5, password_hash: 1B2M2Y8AsgTpgAmY7PhCfg==",
		"md5 and a line end": `algorithm: md5, password_hash: "1B2M2Y8AsgTpgAmY7PhCfg==\n"`,
		"bcrypt":             "algorithm: bcrypt, password_hash: " + bcryptHash,
		"scrypt":             "algorithm: scrypt, salt: c2FsdA==, password_hash: " + scryptHash,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := write(t, "http.yaml", "http: { basic_auth: { enabled: true, username: "+user+", "+auth+" } }\n")
			out, err := program.Run(t, environ(t, ""), "streams", "--api", "-o", root, stream)
			require.Error(t, err, out)
			assert.Contains(t, out, "empty password")
			assert.NotContains(t, out, "Listening for HTTP requests")
		})
	}
}

func TestDebugEndpointsNeedThePassword(t *testing.T) {
	address := freeAddress(t)
	config := write(t, "config.yaml", basicAuth(", debug_endpoints: true, address: "+`"`+address+`"`)+endless)
	waitUntilItListens(t, program.Start(t, environ(t, ""), "run", config), address)
	for path, want := range map[string]int{"/debug/config/json": http.StatusUnauthorized, "/debug/pprof/heap": http.StatusUnauthorized, "/ready": http.StatusUnauthorized} {
		status, _ := get(t, address, path)
		assert.Equal(t, want, status, path)
		status, _ = request{http.MethodGet, path, ""}.send(t, address, password)
		assert.Equal(t, http.StatusOK, status, path)
	}
}
