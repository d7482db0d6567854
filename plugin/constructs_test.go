package plugin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// counted is an address that passes requests on, and counts those that dial.
func counted(t *testing.T, to string) (address string, dials *atomic.Int32) {
	t.Helper()
	target, err := url.Parse(to)
	require.NoError(t, err)
	proxy, dials := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: target.Scheme, Host: target.Host}), &atomic.Int32{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/dial/") {
			dials.Add(1)
		}
		proxy.ServeHTTP(w, req)
	}))
	t.Cleanup(srv.Close)
	return srv.URL + target.Path, dials
}

// What the docs say of each construct of Benthos around the processor: which keep a
// batch, so that its calls are one request, and which take it apart.
func TestHowManyRequestsABatchBecomesInEachConstruct(t *testing.T) {
	t.Parallel()
	for construct, want := range map[string]int{
		"DIAL": 1,
		"switch: [ { check: '!errored()', processors: [ DIAL ] } ]":                                                                    1,
		"workflow: { order: [ [ a ] ], branches: { a: { request_map: root = this, processors: [ DIAL ], result_map: root = this } } }": 1,
		"branch: { request_map: root = this, processors: [ DIAL ], result_map: root = this }":                                          1,
		"group_by: [ { check: 'this.id == \"a\"', processors: [ DIAL ] }, { check: 'true', processors: [ DIAL ] } ]":                   2,
		"try: [ DIAL ]":                                   3,
		"for_each: [ DIAL ]":                              3,
		"parallel: { processors: [ DIAL ] }":              3,
		"retry: { max_retries: 1, processors: [ DIAL ] }": 3,
		"catch: [ DIAL ]":                                 0,
	} {
		t.Run(construct, func(t *testing.T) {
			t.Parallel()
			srv := startSim(t, callsim.Options{})
			address, dials := counted(t, srv.URL)
			dial := `{ happyrobot_dial: { api_key: k, base_url: "` + address + `", dedupe_key: '${! json("id") }', number_id: 64f0c0de00000000000000c1, call_mapping: 'root.phone_number = this.phone' } }`
			processor := strings.ReplaceAll(construct, "DIAL", dial)
			if construct == "DIAL" {
				processor = strings.TrimSuffix(strings.TrimPrefix(dial, "{"), "}")
			}
			s := run(t, parts{processors: []string{strings.TrimSpace(processor)}})
			require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("b", "+12025550102"), lead("bad", "nobody"), lead("c", "+12025550103")))
			assert.Equal(t, want, int(dials.Load()))
			assert.Len(t, s.out.all(), 4)
			if want > 0 {
				assert.Len(t, srv.Sim.Calls(), 3)
			}
		})
	}
}

// An output that handles errors of its own does no harm where failures are filed by the
// dial: the failed lead, and it alone, is there, and each good one is called once.
func TestConstructsAroundAnOutputWithFailuresMisfileNothing(t *testing.T) {
	t.Parallel()
	for _, construct := range []string{
		"retry: { output: DIAL }",
		"broker: { pattern: fan_out, outputs: [ DIAL, { drop: {} } ] }",
		"broker: { pattern: fan_out_sequential, outputs: [ DIAL, { drop: {} } ] }",
		"broker: { pattern: greedy, outputs: [ DIAL ] }",
		"broker: { pattern: fan_out, batching: { count: 4, period: 5ms }, outputs: [ DIAL ] }",
		"switch: { cases: [ { check: 'this.id == \"L1\"', output: { drop: {} } }, { output: DIAL } ] }",
		"drop_on: { error: false, back_pressure: 1h, output: DIAL }",
		"reject_errored: DIAL",
	} {
		t.Run(construct, func(t *testing.T) {
			t.Parallel()
			f := newFiling(t, four...)
			dial := `{ happyrobot_dial: { api_key: k, base_url: "` + f.srv.URL + `", dedupe_key: '${! json("id") }', number_id: 64f0c0de00000000000000c1, call_mapping: 'root.phone_number = this.phone
root.metadata.lead_id = this.id', batching: { count: 20, period: 5ms }, receipts: { shelf: { of: receipts } }, failures: { shelf: { of: failures } } } }`
			dial = strings.ReplaceAll(dial, "\n", "\n\n") // a blank line is a line break in a YAML text
			stop := f.start(t, "", strings.ReplaceAll(construct, "DIAL", dial), "")
			f.await(t)
			stop(false)
			want := map[string]int{"L1": 1, "L2": 1, "L4": 1}
			receipts := map[string]int{"L1 accepted": 1, "L2 accepted": 1, "L4 accepted": 1}
			if strings.HasPrefix(construct, "switch") {
				delete(want, "L1")
				delete(receipts, "L1 accepted")
			}
			assert.Equal(t, want, f.srv.Sim.CallsBy("metadata.lead_id"))
			assert.Equal(t, receipts, f.receipts.told())
			assert.Equal(t, map[string]int{"L3 rejected": 1}, f.failures.told())
		})
	}
}

// Without failures a `fallback` files the failed lead, as long as nothing changes the
// batch, and a `retry` in it makes it file all leads of the batch, those that were called
// among them.
func TestWhatAFallbackFilesWithoutFailures(t *testing.T) {
	t.Parallel()
	const retry = "retry: { max_retries: 1, backoff: { initial_interval: 1ms, max_interval: 2ms }, output: DIAL }"
	for output, want := range map[string][]string{
		"DIAL":              {"L3"},
		"{ " + retry + " }": {"L1", "L2", "L3", "L4"},
	} {
		t.Run(output, func(t *testing.T) {
			t.Parallel()
			f := newFiling(t, four...)
			dial := `{ happyrobot_dial: { api_key: k, base_url: "` + f.srv.URL + `", dedupe_key: '${! json("id") }', number_id: 64f0c0de00000000000000c1, call_mapping: 'root.phone_number = this.phone', batching: { count: 20, period: 5ms } } }`
			stop := f.start(t, "", strings.ReplaceAll("fallback: [ "+output+", { shelf: { of: failures } } ]", "DIAL", dial), "")
			f.await(t)
			stop(false)
			var filed []string
			for _, r := range f.failures.all() {
				filed = append(filed, fmt.Sprint(r.raw["id"]))
			}
			assert.ElementsMatch(t, want, filed)
			assert.Len(t, f.srv.Sim.Calls(), 3, "each good lead was called, once")
		})
	}
}
