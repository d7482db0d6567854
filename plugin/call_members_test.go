package plugin_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	numberID = "64f0c0de00000000000000c1"
	otherID  = "64f0c0de00000000000000c2"
	agentID  = "64f0c0de00000000000000a1"
)

// dialer is a stream that dials with the given fields, and collects what fails.
func dialerOf(t *testing.T, url, fields string, more ...string) *stream {
	t.Helper()
	p := parts{output: fmt.Sprintf(`
fallback:
  - happyrobot_dial:
      api_key: test-key
      base_url: %s
      batching: {count: 20, period: 5ms}
      %s
  - collect: {}
`, url, indent(6, fields))}
	if len(more) > 0 {
		p.resources = more[0]
	}
	return run(t, p)
}

// failures are the failed messages' errors.
func (s *stream) failures() (errs []string) {
	for _, m := range s.out.all() {
		errs = append(errs, m["@fallback_error"].(string))
	}
	return errs
}

// A config that moves ids from call_mapping to fields keeps the memory: the same lead
// is the same request, and the same call.
func TestIDsAsFieldsAreTheSameCallAsIDsOfTheMapping(t *testing.T) {
	t.Parallel()
	api := startRecorder(t)
	resources := fmt.Sprintf("cache_resources:\n  - label: ledger\n    bbolt: {path: %q}\n", t.TempDir()+"/ledger.db")
	const message = `{"phone":"+12025550101","name":"Ada","id":"a"}`
	for name, key := range map[string]string{"with a key": `dedupe_key: ${! json("id") }`, "without a key": `dedupe_key: ""`} {
		t.Run(name, func(t *testing.T) {
			for _, fields := range []string{`
call_mapping: |
  root.number_id = "` + numberID + `"
  root.agent_id = "` + agentID + `"
  root.use_case_id = ""
  root.phone_number = this.phone
  root.params.customer_name = this.name
`, `
number_id: ` + numberID + `
agent_id: ` + agentID + `
use_case_id: ""
call_mapping: |
  root.phone_number = this.phone
  root.params.customer_name = this.name
`, `
number_id: ` + numberID + `
agent_id: ` + agentID + `
call_mapping: |
  root.number_id = "` + numberID + `"
  root.phone_number = this.phone
  root.params.customer_name = this.name
`} {
				t.Run("", func(t *testing.T) {
					s := dialerOf(t, api.url, "ledger: ledger\n"+key+fields, resources)
					require.NoError(t, s.deliver(message))
					assert.Empty(t, s.failures())
				})
			}
		})
	}
	assert.Len(t, api.all(t), 2, "one for each key")
}

func TestAMappingMayNotContradictAField(t *testing.T) {
	t.Parallel()
	for _, member := range []string{"number_id", "use_case_id", "agent_id"} {
		api := startRecorder(t)
		s := dialerOf(t, api.url, "number_id: "+numberID+"\nuse_case_id: "+numberID+"\nagent_id: "+numberID+"\ncall_mapping: root = this")
		require.NoError(t, s.deliver(
			`{"phone_number":"+12025550101","`+member+`":"`+otherID+`"}`, `{"phone_number":"+12025550102","`+member+`":"`+numberID+`"}`,
			`{"phone_number":"+12025550103","`+member+`":null}`, `{"phone_number":"+12025550104","`+member+`":7}`))
		require.Len(t, s.failures(), 2, member)
		for _, failure := range s.failures() {
			assert.Contains(t, failure, "rejected: invalid_field: "+member+": ")
			assert.NotContains(t, failure, otherID)
		}
		require.Len(t, api.all(t), 2)
		for _, call := range api.all(t) {
			assert.Equal(t, numberID, call[member])
		}
	}
}

// Whoever writes to the topic chooses who is called and what is said, and nothing else.
func TestTheDefaultMappingTakesOnlyWhatDiffersFromLeadToLead(t *testing.T) {
	t.Parallel()
	api := startRecorder(t)
	s := dialerOf(t, api.url, "number_id: "+numberID)
	require.NoError(t, s.deliver(
		`{"phone_number":"+12025550101","params":{"name":"Ada"},"metadata":{"lead":1},"language":"en-GB",
		  "id":7,"number_id":"`+otherID+`","use_case_id":"`+otherID+`","prompt_id":"p","max_duration_mins":600000,
		  "webhook":"https://example.com","hooks":[],"transfer_to":"+12025550199","scheduled_for":"2030-01-01T00:00:00Z"}`,
		`{"phone_number":"+12025550102"}`, `["+12025550103"]`, `7`, `no JSON`, `{}`))
	assert.ElementsMatch(t, []map[string]any{
		{"number_id": numberID, "phone_number": "+12025550101", "params": map[string]any{"name": "Ada"}, "metadata": map[string]any{"lead": 1.0}, "language": "en-GB"},
		{"number_id": numberID, "phone_number": "+12025550102"},
	}, api.all(t))
	failures := strings.Join(s.failures(), "\n")
	for _, want := range []string{"rejected: mapping_failed: ", "rejected: invalid_json: ", "rejected: missing_field: phone_number: "} {
		assert.Contains(t, failures, want)
	}
	assert.NotContains(t, failures, "5550103")
}

func TestWithoutANumberIDTheMessageIsTheCall(t *testing.T) {
	t.Parallel()
	api := startRecorder(t)
	s := dialerOf(t, api.url, `agent_id: `+agentID)
	require.NoError(t, s.deliver(`{"number_id":"`+numberID+`","phone_number":"+12025550101","prompt_id":"p","campaign_id":"c"}`, `{"phone_number":"+12025550102"}`))
	assert.Equal(t, []map[string]any{{"number_id": numberID, "phone_number": "+12025550101", "agent_id": agentID, "prompt_id": "p", "campaign_id": "c"}}, api.all(t))
	require.Len(t, s.failures(), 1)
	assert.Contains(t, s.failures()[0], "rejected: missing_field: number_id: ")
}

func TestUnknownMembersAreRejectedWithTheNearestName(t *testing.T) {
	t.Parallel()
	for member, near := range map[string]string{
		"parms": "params", "param": "params", "Params": "params", "meta_data": "metadata", "metdata": "metadata", "phone": "phone_number",
		"phoneNumber": "phone_number", "numberid": "number_id", "useCaseId": "use_case_id", "lang": "language",
		"max_duration_min": "max_duration_mins", "schedule_for": "scheduled_for", "promptId": "prompt_id",
		"webhook": "", "hooks": "", "transfer_to": "", "id": "", "x": "", "": "", "名前": "",
	} {
		api := startRecorder(t)
		s := dialerOf(t, api.url, "call_mapping: root = this")
		require.NoError(t, s.deliver(request("+12025550101", fmt.Sprintf(`,%q:null`, member)), request("+12025550102", "")))
		require.Len(t, s.failures(), 1, member)
		got := s.failures()[0]
		assert.Contains(t, got, "rejected: unknown_member: ", member)
		if near == "" {
			assert.NotContains(t, got, "did you mean", member)
		} else {
			assert.Contains(t, got, member+": is not a documented member of a call; did you mean "+near+"?")
		}
		assert.Contains(t, got, "extra_members")
		assert.Len(t, api.all(t), 1, "its neighbour is called")
	}
}

// Through `root = this` a member's name comes from the message, and may be anything.
func TestTheNameOfAnUnknownMemberGivesNothingAway(t *testing.T) {
	t.Parallel()
	for _, member := range []string{
		"+12025550177", "2025550177", "p_202_555_0177", "202 555 0177", "ada@example.com", "Ada Sample", "a\nb", strings.Repeat("x", 50), "１２３４５６７",
	} {
		api := startRecorder(t)
		s := dialerOf(t, api.url, "call_mapping: root = this")
		require.NoError(t, s.deliver(request("+12025550101", fmt.Sprintf(`,%q:1`, member))))
		require.Len(t, s.failures(), 1, member)
		assert.Contains(t, s.failures()[0], "rejected: unknown_member: (a member): ")
		assert.NotContains(t, s.failures()[0], member)
	}
}

func TestExtraMembersMayBeSent(t *testing.T) {
	t.Parallel()
	const message = `,"webhook":"w","hooks":[1.50]`
	for extra, want := range map[string]int{`[]`: 0, `[webhook]`: 0, `[webhook, hooks]`: 1, `["*"]`: 1, `[hooks, "*"]`: 1, `[Webhook, Hooks]`: 0} {
		api := startRecorder(t)
		s := dialerOf(t, api.url, "extra_members: "+extra+"\ncall_mapping: root = this")
		require.NoError(t, s.deliver(request("+12025550101", message)))
		assert.Len(t, api.all(t), want, extra)
		assert.Len(t, s.failures(), 1-want, extra)
		if want == 1 {
			assert.Contains(t, api.calls[0], `"hooks":[1.50],"webhook":"w"`, "sent as they are")
		}
	}
}

// An API that does not mind the case would take them for the members that the config
// sets or bounds.
func TestNoOtherSpellingGetsRoundTheConfig(t *testing.T) {
	t.Parallel()
	for _, member := range []string{"Number_Id", "numberId", "number_id ", "NUMBER-ID", "Phone_Number", "Max_Duration_Mins", "ｎumber_id", "Metadata"} {
		for _, extra := range []string{`["*"]`, fmt.Sprintf(`[%q]`, strings.TrimSpace(member)), fmt.Sprintf(`["*", %q]`, member)} {
			api := startRecorder(t)
			s := dialerOf(t, api.url, "extra_members: "+extra+"\nmax_call_mins: 15\ncall_mapping: root = this")
			require.NoError(t, s.deliver(request("+12025550101", fmt.Sprintf(`,%q:1`, member))))
			require.Len(t, s.failures(), 1, "%s, %s", member, extra)
			assert.Contains(t, s.failures()[0], "rejected: unknown_member: ")
			assert.Empty(t, api.all(t))
		}
	}
}

func TestDeprecatedMembersAreSentWithOneWarning(t *testing.T) {
	t.Parallel()
	api := startRecorder(t)
	s := dialerOf(t, api.url, "call_mapping: root = this")
	for i := range 3 {
		require.NoError(t, s.deliver(request(fmt.Sprintf("+1202555010%d", i), `,"assistant_id":"a","voice_id":"v","model":"Fast"`)))
	}
	require.Len(t, api.all(t), 3)
	assert.Equal(t, "a", api.all(t)[0]["assistant_id"])
	for _, member := range []string{"assistant_id", "voice_id", "model"} {
		assert.Equal(t, 1, strings.Count(s.logs.String(), "member "+member+","), member)
	}
}

func TestACallMayNotAskForLongerThanAllowed(t *testing.T) {
	t.Parallel()
	for limit, allowed := range map[int][]string{0: {"null", "1", "15", "15.0", "16", "600000"}, 15: {"null", "1", "15", "15.0"}} {
		api := startRecorder(t)
		s := dialerOf(t, api.url, fmt.Sprintf("max_call_mins: %d\ncall_mapping: root = this", limit))
		for i, minutes := range []string{"null", "1", "15", "15.0", "16", "600000"} {
			before := len(s.failures())
			require.NoError(t, s.deliver(request(fmt.Sprintf("+1202555010%d", i), `,"max_duration_mins":`+minutes)))
			if slices.Contains(allowed, minutes) {
				require.Len(t, s.failures(), before, minutes)
				continue
			}
			require.Len(t, s.failures(), before+1, minutes)
			assert.Contains(t, s.failures()[before], "rejected: invalid_field: max_duration_mins: ")
		}
		calls := api.all(t)
		require.Len(t, calls, len(allowed))
		assert.NotContains(t, calls[0], "max_duration_mins", "no member is added")
	}
}

func TestOddNumbersAndDatesOfACall(t *testing.T) {
	t.Parallel()
	for member, right := range map[string]any{
		`"max_duration_mins":15.0`:                       15.0,
		`"max_duration_mins":1.5e1`:                      15.0,
		`"max_duration_mins":""`:                         nil,
		`"max_duration_mins":"15"`:                       "invalid_field",
		`"max_duration_mins":15.5`:                       "invalid_field",
		`"max_duration_mins":0`:                          "invalid_field",
		`"max_duration_mins":-15`:                        "invalid_field",
		`"max_duration_mins":1e400`:                      "invalid_field",
		`"max_duration_mins":99999999999999999999`:       "invalid_field",
		`"metadata":""`:                                  nil,
		`"params":""`:                                    "",
		`"language":""`:                                  nil,
		`"use_case_id":""`:                               nil,
		`"prompt_id":""`:                                 nil,
		`"campaign_id":""`:                               nil,
		`"scheduled_for":""`:                             nil,
		`"scheduled_for":"2030-03-10T15:30:00+02:00"`:    "2030-03-10T13:30:00Z",
		`"scheduled_for":"2000-01-01T00:00:00Z"`:         "2000-01-01T00:00:00Z",
		`"scheduled_for":"1999-12-31T23:59:59-00:01"`:    "2000-01-01T00:00:59Z",
		`"scheduled_for":"2000-01-01T00:00:00+00:01"`:    "invalid_date",
		`"scheduled_for":"1970-01-01T00:00:00Z"`:         "invalid_date",
		`"scheduled_for":"0000-01-01T00:00:00Z"`:         "invalid_date",
		`"scheduled_for":"9999-12-31T23:59:59Z"`:         "9999-12-31T23:59:59Z",
		`"scheduled_for":"9999-12-31T23:59:59-02:00"`:    "invalid_date",
		`"scheduled_for":"10000-01-01T00:00:00Z"`:        "invalid_date",
		`"scheduled_for":"2030-03-10"`:                   "invalid_date",
		`"scheduled_for":1900000000`:                     "invalid_field",
		`"scheduled_for":"2030-03-10T15:30:00.25+02:00"`: "2030-03-10T13:30:00Z",
	} {
		api := startRecorder(t)
		s := dialerOf(t, api.url, "call_mapping: root = this")
		require.NoError(t, s.deliver(request("+12025550101", ","+member)))
		name := strings.Split(member, `"`)[1]
		if reason, refused := right.(string); refused && strings.HasPrefix(reason, "invalid_") {
			require.Len(t, s.failures(), 1, member)
			assert.Contains(t, s.failures()[0], "rejected: "+reason+": "+name+": ", member)
			assert.Empty(t, api.all(t), member)
			continue
		}
		require.Empty(t, s.failures(), member)
		require.Len(t, api.all(t), 1, member)
		value, given := api.all(t)[0][name]
		assert.Equal(t, right, value, member)
		assert.Equal(t, right != nil, given, member)
	}
}

func TestUnknownLanguagesAreWarnedOfOnce(t *testing.T) {
	t.Parallel()
	for language, advice := range map[string]string{
		"en": "did you mean en-US or en-GB?", "EN-us": "did you mean en-US?", "en_US": "did you mean en-US?", "es-AR": "did you mean es-MX or es-ES or es-CO?",
		"xx": "known values are en-US, ", "english": "known values are en-US, ", "+12025550177": "known values are en-US, ", "de-DE\u0020": "did you mean de-DE?",
	} {
		api := startRecorder(t)
		s := dialerOf(t, api.url, "call_mapping: root = this")
		for i := range 3 {
			require.NoError(t, s.deliver(request(fmt.Sprintf("+1202555010%d", i), fmt.Sprintf(`,"language":%q`, language))))
		}
		assert.Len(t, api.all(t), 3, "the enum is open: the call is sent")
		logs := s.logs.String()
		assert.Equal(t, 1, strings.Count(logs, "unknown language"), logs)
		assert.Contains(t, logs, advice)
		assert.NotContains(t, logs, "5550177")
	}
	api := startRecorder(t)
	s := dialerOf(t, api.url, "call_mapping: root = this")
	var batch []string
	for i := range 60 {
		batch = append(batch, request(fmt.Sprintf("+120255501%02d", i), fmt.Sprintf(`,"language":"en-%03d"`, i)))
	}
	require.NoError(t, s.deliver(batch...))
	require.NoError(t, s.deliver(request("+12025550177", `,"language":"en-GB"`), request("+12025550178", "")))
	assert.Len(t, api.all(t), 62)
	assert.Equal(t, 20, strings.Count(s.logs.String(), "unknown language"), "their number is bounded")
	assert.NotContains(t, s.logs.String(), "en-GB;")
}

// What failed may have been the look-up of those who must not be called.
func TestAMessageThatAnEarlierProcessorFailedOnIsNotDialed(t *testing.T) {
	t.Parallel()
	const fails = `mapping: 'root = if this.id == "bad" { throw("no answer about \"+1 202 555 0177\" of Ada") } else { this }'`
	messages := []string{lead("good", "+12025550101"), `{"id":"bad","phone":"+12025550102","names":["Ada"]}`}
	fields := dialFieldsOfLeads()

	for name, tc := range map[string]struct {
		processors []string
		extra      string
		called     map[string]int
	}{
		"plain":        {[]string{fails}, "", map[string]int{"+12025550101": 1}},
		"try before":   {[]string{"try: [{" + fails + "}]"}, "", map[string]int{"+12025550101": 1}},
		"caught":       {[]string{fails, "catch: []"}, "", map[string]int{"+12025550101": 1, "+12025550102": 1}},
		"dial_errored": {[]string{fails}, "dial_errored: true", map[string]int{"+12025550101": 1, "+12025550102": 1}},
		"switched off": {[]string{fails}, "dial_errored: false", map[string]int{"+12025550101": 1}},
	} {
		for _, kind := range []string{"output", "processor", "processor in try"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				want := tc.called
				if kind == "processor in try" { // which leaves out the dial of a failed message, whatever the dial would do
					want = map[string]int{"+12025550101": 1}
				}
				api := startRecorder(t)
				dial := "happyrobot_dial:\n  api_key: test-key\n  base_url: " + api.url + "\n  " + indent(2, fields+"\n"+tc.extra)
				p := parts{processors: tc.processors}
				switch kind {
				case "output":
					p.output = "fallback:\n  - " + indent(4, dial+"\n  batching: {count: 20, period: 5ms}") + "\n  - collect: {}"
				case "processor":
					p.processors = append(slices.Clone(p.processors), dial)
				default:
					p.processors = []string{"try:\n  - " + strings.Join(append(indentAll(4, tc.processors), indent(4, dial)), "\n  - ")}
				}
				s := run(t, p)
				require.NoError(t, s.deliver(messages...))
				called := map[string]int{}
				for _, call := range api.all(t) {
					called[call["phone_number"].(string)]++
				}
				assert.Equal(t, want, called)
				if len(want) == 2 {
					return
				}
				failure := ""
				for _, m := range s.out.all() {
					if m["content"] == messages[1] {
						failure, _ = m["@fallback_error"].(string)
						if kind != "output" {
							failure = m["error"].(string)
						}
					}
				}
				if kind != "processor in try" { // which does not reach the dial
					assert.Contains(t, failure, "rejected: processing_failed: ")
					assert.Contains(t, failure, "failed assignment")
					assert.NotContains(t, failure, "0177")
					assert.NotContains(t, failure, "Ada")
				}
				assert.NotContains(t, s.logs.String(), "rejected: processing_failed: +1")
			})
		}
	}
}

func dialFieldsOfLeads() string {
	return "number_id: " + numberID + "\ndedupe_key: ${! this.id }\ncall_mapping: root.phone_number = this.phone\n"
}

func indentAll(n int, texts []string) (out []string) {
	for _, text := range texts {
		out = append(out, indent(n, text))
	}
	return out
}

func TestMembersLint(t *testing.T) {
	t.Parallel()
	linter := service.NewEnvironment().NewComponentConfigLinter()
	for field, configs := range map[string]struct{ good, bad []string }{
		"number_id":     {[]string{`number_id: ""`, "number_id: " + numberID, "number_id: " + strings.Repeat("é", 24)}, []string{"number_id: short", "number_id: " + numberID + "0", `number_id: "` + strings.Repeat("a ", 12) + `"`, "number_id: " + strings.Repeat("é", 12)}},
		"use_case_id":   {[]string{`use_case_id: ""`, "use_case_id: " + numberID}, []string{"use_case_id: short"}},
		"agent_id":      {[]string{`agent_id: ""`, "agent_id: " + numberID}, []string{"agent_id: short"}},
		"extra_members": {[]string{"extra_members: []", "extra_members: [webhook, hooks]", `extra_members: ["*"]`}, []string{`extra_members: [""]`, `extra_members: [webhook, " "]`, `extra_members: {webhook: true}`}},
		"max_call_mins": {[]string{"max_call_mins: 0", "max_call_mins: 15"}, []string{"max_call_mins: -1"}},
		"dial_errored":  {[]string{"dial_errored: true", "dial_errored: false"}, nil},
		"call_mapping":  {[]string{`call_mapping: ""`, "call_mapping: root = this"}, []string{`call_mapping: "root = ("`}},
		"dedupe_key":    {[]string{`dedupe_key: ""`, `dedupe_key: "${! this.id }"`}, []string{`dedupe_key: "${! this.( }"`}},
	} {
		for _, config := range configs.good {
			lints, err := linter.LintOutputYAML([]byte("happyrobot_dial: {api_key: k, " + config + "}"))
			require.NoError(t, err, config)
			assert.Empty(t, lints, config)
		}
		for _, config := range configs.bad {
			for kind, lint := range map[string]func([]byte) ([]service.Lint, error){"output": linter.LintOutputYAML, "processor": linter.LintProcessorYAML} {
				lints, err := lint([]byte("happyrobot_dial:\n  api_key: k\n  " + config))
				require.NoError(t, err, config)
				require.NotEmpty(t, lints, "%s: %s", kind, config)
				if slices.Contains([]string{"number_id", "use_case_id", "agent_id", "max_call_mins"}, field) {
					assert.Contains(t, lints[0].Error(), field+"` must be")
				}
			}
		}
	}
}

func TestStartRefusesBadMembersByFieldName(t *testing.T) {
	t.Parallel()
	for config, names := range map[string]string{
		"number_id: short":              "number_id: must be an id of exactly 24 characters, not 5",
		"use_case_id: short":            "use_case_id: ",
		"agent_id: short":               "agent_id: ",
		`extra_members: [webhook, " "]`: "extra_members: ",
		"max_call_mins: -1":             "max_call_mins: ",
		"dial_errored: maybe":           "dial_errored",
	} {
		b := service.NewStreamBuilder()
		b.DisableLinting()
		require.NoError(t, b.AddInputYAML(`generate: {mapping: "root = {}", count: 1}`))
		require.NoError(t, b.AddOutputYAML(`drop: {}`))
		require.NoError(t, b.AddProcessorYAML("happyrobot_dial:\n  api_key: k\n  "+config))
		stream, err := b.Build()
		if err == nil {
			err = stream.Run(t.Context())
		}
		assert.ErrorContains(t, err, names)
	}
}

// Each new field stands in an example of the component's page, and the examples lint.
func TestDialExamplesLint(t *testing.T) {
	t.Parallel()
	env := service.NewEnvironment()
	linter := env.FullConfigSchema("", "").NewStreamConfigLinter().SetEnvVarLookupFunc(func(_ context.Context, name string) (string, bool) {
		if strings.HasSuffix(name, "_ID") {
			return numberID, true
		}
		return "set", true
	})
	output, _ := env.GetOutputConfig("happyrobot_dial")
	processor, _ := env.GetProcessorConfig("happyrobot_dial")
	for kind, view := range map[string]*service.ConfigView{"output": output, "processor": processor} {
		data, err := view.TemplateData()
		require.NoError(t, err)
		seen := map[string]bool{}
		for _, e := range data.Examples {
			lints, err := linter.LintYAML([]byte(e.Config))
			require.NoError(t, err, e.Title)
			assert.Empty(t, lints, e.Title)
			for _, field := range []string{"number_id:", "use_case_id:", "agent_id:", "extra_members:", "max_call_mins:", "dial_errored:"} {
				seen[field] = seen[field] || strings.Contains(e.Config, field)
			}
		}
		if kind == "output" {
			for _, field := range slices.Sorted(maps.Keys(seen)) {
				assert.True(t, seen[field], field)
			}
		}
	}
}
