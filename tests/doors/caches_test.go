package doors

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// keeping are streams that keep something in the cache `kept`.
var keeping = map[string]struct{ stream, at, lost string }{
	"ledger": {`
input: { generate: { count: 1, interval: "", mapping: 'root = {"id": "a", "phone": "+12025550101"}' } }
output:
  fallback:
    - happyrobot_dial:
        api_key: key
        number_id: 64f0c0de00000000000000c1
        dedupe_key: ${! this.id }
        call_mapping: 'root = {"phone_number": this.phone}'
        ledger: ${KEPT:kept}
        dry_run: true
        failures: { drop: {} }
    - drop: {}
`, "output.fallback.0.happyrobot_dial.ledger: ", "leads could be called twice. "},
	"processor": {`
input: { generate: { count: 1, interval: "", mapping: 'root = {"id": "a", "phone": "+12025550101"}' } }
pipeline:
  processors:
    - happyrobot_dial:
        api_key: key
        number_id: 64f0c0de00000000000000c1
        dedupe_key: ${! this.id }
        call_mapping: 'root = {"phone_number": this.phone}'
        ledger: kept
        dry_run: true
output: { drop: {} }
`, "pipeline.processors.0.happyrobot_dial.ledger: ", "leads could be called twice. "},
	"cursor": {`
input: { happyrobot_calls: { api_key: key, base_url: "http://127.0.0.1:1/api/v1", cache: kept } }
output: { drop: {} }
`, "input.happyrobot_calls.cache: ", "after a restart calls would be emitted again, or never. "},
	"events": {`
input: { happyrobot_webhook: { address: "127.0.0.1:0", secret: s, cache: kept } }
output: { drop: {} }
`, "input.happyrobot_webhook.cache: ", "an event that is sent again would be delivered twice. "},
}

// forgetting are caches with what they are refused for, and why.
var forgetting = map[string]struct {
	why     string
	refused []string
}{
	"noop: {}":                                                   {"`noop` keeps nothing", []string{"ledger", "processor", "cursor", "events"}},
	"lru: {}":                                                    {"`lru` forgets items when it is full", []string{"ledger", "processor", "cursor"}},
	"ttlru: { default_ttl: 1000h }":                              {"`ttlru` forgets items when it is full, and each after the same time", []string{"ledger", "processor", "cursor"}},
	"multilevel: [ one, two ]":                                   {"`multilevel` keeps returning values that another process has since changed", []string{"ledger", "processor"}},
	"memory: { default_ttl: 167h }":                              {"its `default_ttl` (167h0m0s) is shorter than `dedupe_window` (168h0m0s)", []string{"ledger", "processor"}},
	"memory: { default_ttl: ${TTL:5m} }":                         {"its `default_ttl` (5m0s) is shorter than `dedupe_window` (168h0m0s)", []string{"ledger", "processor"}},
	"memory: { default_ttl: 168h }":                              {},
	"memory: {}":                                                 {},
	`file: { directory: "DIR" }`:                                 {},
	`bbolt: { path: "DIR/kept.db" }`:                             {},
	`bbolt: { path: "DIR/kept.db", default_ttl: 1h }`:            {}, // a record of a ledger has its own
	`redis: { url: "redis://127.0.0.1:1" }`:                      {},
	`postgres: { dsn: "postgres://127.0.0.1:1/x", table: kept }`: {},
}

// cachesYAML are resources with one that is `kept`.
func cachesYAML(t *testing.T, kept string) string {
	kept = strings.ReplaceAll(kept, "DIR", t.TempDir())
	return "\ncache_resources:\n  - { label: one, memory: {} }\n  - { label: two, memory: {} }\n  - { label: kept, " + kept + " }\n"
}

const keepers = "Use `bbolt`, `postgres`, or `redis` with `maxmemory-policy noeviction`"

func TestLintRefusesACacheThatForgetsWhatIsKeptInIt(t *testing.T) {
	folder := t.TempDir()
	var good, bad []string
	wants := map[string]string{}
	for cache, tc := range forgetting {
		for use, config := range keeping {
			path := filepath.Join(folder, fmt.Sprintf("%d.yaml", len(good)+len(bad)))
			require.NoError(t, os.WriteFile(path, []byte(config.stream+cachesYAML(t, cache)), 0o600))
			if !slices.Contains(tc.refused, use) {
				good = append(good, path)
				continue
			}
			bad = append(bad, path)
			wants[path] = config.at + `cache "kept" cannot hold [^:]*, because ` + regexp.QuoteMeta(tc.why+": "+config.lost+keepers)
		}
	}
	out, err := program.Run(t, os.Environ(), append([]string{"lint"}, good...)...)
	require.NoError(t, err, out)
	out, err = program.Run(t, os.Environ(), append([]string{"lint"}, bad...)...)
	require.Error(t, err)
	assert.Len(t, bad, 16)
	for path, want := range wants {
		assert.Regexp(t, path+": "+want, out)
	}
}

var tableRow = regexp.MustCompile("(?m)^\\| (`[^|]+`) \\| (yes|for trials|no)[^|]*\\|")

func TestTheDocumentationSaysWhichCachesHoldALedger(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(program.Root, "plugin/docs/src/dial_ledger.md"))
	require.NoError(t, err)
	documented := map[string]bool{}
	for _, row := range tableRow.FindAllStringSubmatch(string(page), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			documented[strings.Trim(name, "`")] = row[2] != "no"
		}
	}
	tried := map[string]bool{}
	for cache, tc := range forgetting {
		kind, _, _ := strings.Cut(cache, ":")
		tried[kind] = tried[kind] || !slices.Contains(tc.refused, "ledger")
	}
	out, err := program.Run(t, os.Environ(), "list", "caches")
	require.NoError(t, err, out)
	for name, holds := range tried {
		assert.Contains(t, out, name)
		assert.Contains(t, documented, name)
		assert.Equal(t, holds, documented[name], name)
	}
	for line := range strings.FieldsSeq(out) {
		if name := strings.TrimSuffix(line, ":"); name != "Caches" && name != "-" {
			assert.Contains(t, tried, name, "this program has it")
		}
	}
}

// A folder, a pattern and ... name files, too, and each is a config of its own.
func TestLintLooksForForgetfulCachesInEachFile(t *testing.T) {
	folder := t.TempDir()
	good := keeping["ledger"].stream + cachesYAML(t, "memory: {}")
	bad := keeping["ledger"].stream + cachesYAML(t, "lru: {}")
	require.NoError(t, os.WriteFile(filepath.Join(folder, "a.yaml"), []byte(good), 0o600))
	require.NoError(t, os.MkdirAll(filepath.Join(folder, "more"), 0o700))
	for _, args := range [][]string{{folder + "/*.yaml"}, {folder + "/..."}} {
		out, err := program.Run(t, os.Environ(), append([]string{"lint"}, args...)...)
		require.NoError(t, err, out)
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "more", "b.yml"), []byte(bad), 0o600))
	for _, args := range [][]string{{folder + "/*/*.yml"}, {folder + "/..."}, {"-r", folder + "/more/*", folder + "/a.yaml"}} {
		out, err := program.Run(t, os.Environ(), append([]string{"lint"}, args...)...)
		require.Error(t, err, args)
		assert.Contains(t, out, "b.yml: output.fallback.0.happyrobot_dial.ledger: ", args)
	}
}

func TestARunRefusesACacheThatForgetsWhatIsKeptInIt(t *testing.T) {
	program.Long(t, "it starts many processes")
	for cache, tc := range forgetting {
		if strings.HasPrefix(cache, "redis") || strings.HasPrefix(cache, "postgres") {
			continue // is waited for
		}
		t.Run(cache, func(t *testing.T) {
			t.Parallel()
			caches := cachesYAML(t, cache)
			kept, one := write(t, "caches.yaml", caches), keeping["ledger"].stream
			stream := write(t, "stream.yaml", one)
			commands := [][]string{{"run", "-s", "http.enabled=false", "-r", kept, stream}}
			if len(tc.refused) > 0 {
				commands = append(commands,
					[]string{"run", "-s", "http.enabled=false", write(t, "config.yaml", one+caches)},
					[]string{"run", "-s", "http.enabled=false", "-r", filepath.Dir(kept) + "/*.yaml", stream},
					[]string{"-r", kept, "-s", "http.enabled=false", "-c", stream},
					[]string{"run", "--chilled", "-s", "http.enabled=false", "-r", kept, stream},
					[]string{"streams", "-s", "http.enabled=false", "-r", kept, stream},
					[]string{"streams", "-s", "http.enabled=false", "-r", kept, filepath.Dir(stream)})
			}
			for _, args := range commands {
				out, err := program.Run(t, os.Environ(), args...)
				if len(tc.refused) == 0 {
					require.NoError(t, err, "%v: %s", args, out)
					continue
				}
				require.Error(t, err, args)
				assert.Contains(t, out, keeping["ledger"].at+`cache "kept" cannot hold `, args)
				assert.Contains(t, out, ", because "+tc.why+": "+keeping["ledger"].lost+keepers, args)
			}
		})
	}
}

// What is set on the command line counts.
func TestARunRefusesAForgetfulCacheThatIsSet(t *testing.T) {
	caches := strings.Replace(cachesYAML(t, "memory: {}"), "label: one, memory: {}", "label: one, lru: {}", 1)
	config := write(t, "config.yaml", keeping["ledger"].stream+caches)
	for set, refused := range map[string]bool{"output.fallback.0.happyrobot_dial.ledger=one": true, "output.fallback.0.happyrobot_dial.ledger=two": false} {
		out, err := program.Run(t, os.Environ(), "run", "-s", "http.enabled=false", "-s", set, config)
		if !refused {
			require.NoError(t, err, out)
			continue
		}
		require.Error(t, err)
		assert.Contains(t, out, `cache "one" cannot hold a ledger`)
	}
}

// A cache that waits for its folder would wait for ever.
func TestACacheWhoseFolderIsMissingStopsTheStart(t *testing.T) {
	program.Long(t, "it starts a process for each use of a cache")
	for name, k := range keeping {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := filepath.Join(t.TempDir(), "away")
			config := write(t, "config.yaml", k.stream+cachesYAML(t, fmt.Sprintf("file: { directory: %q }", folder)))
			said, err := program.Run(t, os.Environ(), "run", "-s", "http.enabled=false", config)
			require.Error(t, err, said)
			assert.Contains(t, said, fmt.Sprintf(`cache "kept" keeps items in the folder %q, which does not exist`, folder))
			assert.NoDirExists(t, folder)
		})
	}
}
