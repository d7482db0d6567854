package plugin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func request(phone, extra string) string {
	return fmt.Sprintf(`{"number_id":"64f0c0de00000000000000c1","phone_number":%q%s}`, phone, extra)
}

func TestBadInputFailsAlone(t *testing.T) {
	t.Parallel()
	const private = "5550177"
	for name, tc := range map[string]struct{ message, error string }{
		"no JSON":           {`lead 1; +1202` + private, "rejected: invalid_json: "},
		"no object":         {`["+1202` + private + `"]`, "rejected: mapping_failed: call_mapping: "},
		"missing field":     {`{"phone_number":"+1202` + private + `"}`, "rejected: missing_field: number_id: "},
		"missing number":    {`{"number_id":"64f0c0de00000000000000c1"}`, "rejected: missing_field: phone_number: "},
		"no number":         {request("call "+private+" please, any time of the day or night", ""), "rejected: invalid_phone_number: phone_number: "},
		"too short":         {request("+1202", ""), "rejected: invalid_phone_number: phone_number: "},
		"number as number":  {`{"number_id":"64f0c0de00000000000000c1","phone_number":1202` + private + `}`, "rejected: invalid_field: phone_number: "},
		"bad id":            {`{"number_id":"short","phone_number":"+1202` + private + `"}`, "rejected: invalid_field: number_id: "},
		"impossible date":   {request("+1202"+private, `,"scheduled_for":"2026-02-30T10:00:00Z"`), "rejected: invalid_date: scheduled_for: "},
		"date without zone": {request("+1202"+private, `,"scheduled_for":"2026-02-20 10:00"`), "rejected: invalid_date: scheduled_for: "},
		"duration":          {request("+1202"+private, `,"max_duration_mins":1.5`), "rejected: invalid_field: max_duration_mins: "},
		"metadata":          {request("+1202"+private, `,"metadata":"a"`), "rejected: invalid_field: metadata: "},
		"5 MB":              {request("+1202"+private, `,"params":{"note":"`+strings.Repeat("x", 5<<20)+`"}`), "rejected: too_large: params: "},
	} {
		t.Run(name, func(t *testing.T) {
			srv := startSim(t, callsim.Options{})
			s := run(t, parts{output: fmt.Sprintf(`
fallback:
  - happyrobot_dial: {api_key: test-key, base_url: %q, batching: {count: 20, period: 10ms}}
  - collect: {}
`, srv.URL)})

			require.NoError(t, s.deliver(request("+12025550101", ""), tc.message, request("+12025550102", "")))

			failed := s.out.all()
			require.Len(t, failed, 1)
			assert.Equal(t, tc.message, failed[0]["content"])
			got := failed[0]["@fallback_error"].(string)
			assert.True(t, strings.HasPrefix(got, tc.error), got)
			assert.Equal(t, map[string]int{"+12025550101": 1, "+12025550102": 1}, srv.Sim.CallsBy("phone_number"))
			for _, text := range []string{got, s.logs.String()} {
				assert.NotContains(t, text, private, "a number was told")
				assert.NotContains(t, text, "test-key", "the key was told")
			}
		})
	}
}

func TestAFailedMappingTellsNoValue(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	p := dialParts(srv.URL)
	p.output = strings.Replace(p.output, "root.phone_number = this.phone", "root.phone_number = this.phone.number()", 1)
	s := run(t, p)
	require.NoError(t, s.deliver(`{"id":"a","phone":"Ada Sample"}`))
	require.Len(t, s.out.all(), 1)
	got := s.out.all()[0]["@fallback_error"].(string)
	assert.Contains(t, got, "rejected: mapping_failed: call_mapping: ")
	assert.NotContains(t, got, "Ada")
}

func TestTextOfAMappingMayBeATimestampOrBytes(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	p := dialParts(srv.URL)
	p.output = strings.NewReplacer(
		"this.phone", "this.phone.bytes()",
		"root.metadata.lead_id = this.id", `root.scheduled_for = "2030-03-10 10:00 +02:00".ts_parse("2006-01-02 15:04 -07:00")`,
	).Replace(p.output)
	s := run(t, p)
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	assert.Empty(t, s.out.all())
	assert.Equal(t, map[string]int{"2030-03-10T08:00:00Z": 1}, srv.Sim.CallsBy("scheduled_for"))
	assert.Equal(t, 1, srv.Sim.CallsTo("+12025550101"))
}

func TestAnEmptyDedupeKeyIsNoKey(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	s := run(t, dialParts(srv.URL))
	require.NoError(t, s.deliver(`{"phone":"+12025550101"}`, `{"phone":"+12025550102"}`))
	assert.Len(t, s.out.all(), 2, "leads without an id must not become one lead")
	assert.Empty(t, srv.Sim.Calls())
}

func TestTheSameKeyForAnotherCallIsAConflict(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	s := run(t, dialParts(srv.URL))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	require.NoError(t, s.deliver(lead("a", "+12025550102")))
	require.Len(t, s.out.all(), 1)
	assert.Contains(t, s.out.all()[0]["@fallback_error"], "conflict: dedupe_conflict: ")
	assert.Len(t, srv.Sim.Calls(), 1)
}

func TestARefusedKeyHoldsTheStream(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	srv.Sim.Inject(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusUnauthorized, Times: 3})
	s := run(t, dialParts(srv.URL))
	require.NoError(t, s.deliver(lead("a", "+12025550101")))
	assert.Empty(t, s.out.all(), "a refused key fails no message")
	assert.Equal(t, 1, strings.Count(s.logs.String(), "Dialing paused (setup)"), "it is told once")
	assert.Equal(t, 1, srv.Sim.CallsTo("+12025550101"))
}

func TestDryRunCallsNobody(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	s := run(t, dialParts(srv.URL, "dry_run: true"))
	require.NoError(t, s.deliver(lead("a", "+12025550101"), lead("b", "nobody")))
	assert.Empty(t, srv.Sim.Stats().Requests)
	assert.Len(t, s.out.all(), 1, "messages are checked all the same")
	assert.NotContains(t, s.logs.String(), "5550101")
}

// An API that declines to list is there, so other leads go on. One that does not answer is
// not: nothing more is sent.
func TestALookupThatIsRefusedHoldsOnlyTheCallInDoubt(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault callsim.Fault
		goOn  bool
	}{
		"400":   {callsim.Fault{Kind: callsim.Refuse, Status: http.StatusBadRequest}, true},
		"503":   {callsim.Fault{Kind: callsim.Refuse, Status: http.StatusServiceUnavailable}, false},
		"hangs": {callsim.Fault{Kind: callsim.Delay, Delay: callsim.Duration(time.Hour)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startSim(t, callsim.Options{})
			srv.Sim.LoseAnswer("+12025550101")
			tc.fault.Operation = "listCalls"
			fault := srv.Sim.Inject(tc.fault)
			p := dialParts(srv.URL)
			p.output = strings.Replace(p.output, "timeout: 60s", "timeout: 2s", 1)
			s := run(t, p)
			doubt, clean := make(chan error, 1), make(chan error, 1)
			go func() { doubt <- s.deliver(lead("doubt", "+12025550101")) }()
			awaitLog(t, s, "Cannot look up calls with an unknown outcome")
			go func() { clean <- s.deliver(lead("clean", "+12025550102")) }()
			if tc.goOn {
				require.NoError(t, <-clean)
			} else {
				struck := srv.Sim.RequestsOf("listCalls")
				require.NoError(t, srv.Sim.AwaitStruck(soon(t), fault, struck+2))
				assert.Equal(t, map[string]int{"doubt": 1}, srv.Sim.CallsBy("metadata.lead_id"))
			}
			assert.Empty(t, doubt, "the call in doubt waits")
			assert.Empty(t, s.out.all())

			srv.Sim.ClearFaults()
			require.NoError(t, <-doubt, "and is found when the list answers")
			if !tc.goOn {
				require.NoError(t, <-clean)
			}
			assert.Equal(t, map[string]int{"doubt": 1, "clean": 1}, srv.Sim.CallsBy("metadata.lead_id"))
			assert.Empty(t, s.out.all())
		})
	}
}
