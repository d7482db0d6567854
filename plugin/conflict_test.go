package plugin_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

type config map[string]any

// Which changes of a config make conflicts of leads that were called with it: the list in
// docs/src/happyrobot_dial.md. Each lead is dialed with the first config and then with the
// second.
func TestWhichChangesOfAConfigMakeConflicts(t *testing.T) {
	t.Parallel()
	const mapping = "root.phone_number = this.phone\nroot.metadata.lead_id = this.id\nroot.params.name = this.name\n"
	const otherID = "64f0c0de00000000000000d2"
	other := startSim(t, callsim.Options{})
	for name, tt := range map[string]struct {
		before, after config
		phone         string
		want          string
	}{
		"call_mapping gives a member more":        {after: config{"call_mapping": mapping + `root.max_duration_mins = 5`}, want: "conflict"},
		"call_mapping gives a member less":        {before: config{"call_mapping": mapping + `root.campaign_id = "a"`}, want: "conflict"},
		"call_mapping gives another language":     {after: config{"call_mapping": mapping + `root.language = "es-MX"`}, want: "conflict"},
		"call_mapping gives other params":         {after: config{"call_mapping": mapping + `root.params.name = this.name.uppercase()`}, want: "conflict"},
		"call_mapping gives other metadata":       {after: config{"call_mapping": mapping + `root.metadata.wave = 2`}, want: "conflict"},
		"call_mapping is written in another way":  {after: config{"call_mapping": "let p = this.phone\n" + mapping + `root.phone_number = $p.trim()`}, want: "duplicate"},
		"number_id":                               {after: config{"number_id": otherID}, want: "conflict"},
		"use_case_id":                             {after: config{"use_case_id": otherID}, want: "conflict"},
		"agent_id":                                {before: config{"agent_id": otherID}, want: "conflict"},
		"default_region, another number":          {before: config{"default_region": "FR"}, after: config{"default_region": "NL"}, phone: "06 12 34 56 78", want: "conflict"},
		"default_region, the same number":         {after: config{"default_region": "DE", "regions": []string{"*"}}, want: "duplicate"},
		"regions":                                 {after: config{"regions": []string{"US", "DE"}}, want: "duplicate"},
		"regions without this one":                {after: config{"regions": []string{"DE"}}, want: "rejected"},
		"numbers":                                 {after: config{"numbers": "possible"}, want: "duplicate"},
		"refuse_types":                            {after: config{"refuse_types": []string{}}, want: "duplicate"},
		"extra_members":                           {after: config{"extra_members": []string{"*"}}, want: "duplicate"},
		"max_call_mins":                           {after: config{"max_call_mins": 3}, want: "duplicate"},
		"dial_ref_salt is set":                    {after: config{"dial_ref_salt": "pepper"}, want: "duplicate"},
		"dial_ref_salt is changed":                {before: config{"dial_ref_salt": "pepper"}, after: config{"dial_ref_salt": "sugar"}, want: "duplicate"},
		"dial_ref_salt is removed":                {before: config{"dial_ref_salt": "pepper"}, want: "duplicate"},
		"dedupe_window":                           {after: config{"dedupe_window": "24h"}, want: "duplicate"},
		"on_unknown":                              {after: config{"on_unknown": "redial_absent", "max_redials": 1}, want: "duplicate"},
		"settle and timeout":                      {after: config{"settle": "1s", "timeout": "5s"}, want: "duplicate"},
		"base_url and api_key":                    {after: config{"base_url": other.URL, "api_key": "another"}, want: "duplicate"},
		"headers":                                 {after: config{"headers": map[string]string{"X-Team": "a"}}, want: "duplicate"},
		"max_calls_per_request":                   {after: config{"max_calls_per_request": 1}, want: "duplicate"},
		"dedupe_key":                              {after: config{"dedupe_key": "v2/${! this.id }"}, want: "accepted"},
		"dedupe_key is removed":                   {after: config{"dedupe_key": ""}, want: "accepted"},
		"no dedupe_key, and another call_mapping": {before: config{"dedupe_key": ""}, after: config{"dedupe_key": "", "call_mapping": mapping + `root.language = "es-MX"`}, want: "accepted"},
		"no dedupe_key, and the same calls":       {before: config{"dedupe_key": ""}, after: config{"dedupe_key": "", "settle": "1s"}, want: "duplicate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startSim(t, callsim.Options{})
			base := config{
				"api_key": "test-key", "base_url": srv.URL, "ledger": "shared", "settle": "300ms", "default_region": "US",
				"dedupe_key": "${! this.id }", "number_id": "64f0c0de00000000000000c1", "call_mapping": mapping,
			}
			dials := make([]string, 2)
			for i, change := range []config{tt.before, tt.after} {
				c := maps.Clone(base)
				maps.Copy(c, change)
				c["result_map"] = fmt.Sprintf("root.result%d = this", i)
				text, err := json.Marshal(map[string]any{"happyrobot_dial": c})
				require.NoError(t, err)
				dials[i] = string(text)
			}
			s := run(t, parts{processors: dials, resources: "cache_resources: [{label: shared, memory: {default_ttl: 200h}}]"})
			phone := tt.phone
			if phone == "" {
				phone = "+1 650 253 0000"
			}
			require.NoError(t, s.deliver(fmt.Sprintf(`{"id":"a","name":"Ann","phone":%q}`, phone)))
			require.Len(t, s.out.all(), 1)
			got := s.out.all()[0]
			lead := got["json"].(map[string]any)
			first := lead["result0"].(map[string]any)
			require.Equal(t, "accepted", first["outcome"])
			assert.Equal(t, tt.want, got["@happyrobot_outcome"], got["error"])
			calls := 1
			switch tt.want {
			case "accepted":
				calls = 2
			case "conflict":
				assert.Equal(t, "dedupe_conflict", got["@happyrobot_reason"])
				assert.Regexp(t, `^conflict: dedupe_conflict: .+; call_id=`+first["call_id"].(string)+`$`, got["error"])
				fallthrough
			case "duplicate":
				assert.Equal(t, first["call_id"], got["@happyrobot_call_id"])
				assert.Equal(t, first["dial_ref"], got["@happyrobot_dial_ref"], "the reference that the API has")
			}
			assert.Len(t, srv.Sim.Calls(), calls)
			assert.Empty(t, other.Sim.Calls())
		})
	}
}

// With a salt neither the API nor the message is told the digest of a key, and the log
// does not show the salt.
func TestAReferenceWithASaltIsSentAndTold(t *testing.T) {
	t.Parallel()
	refs := map[string]bool{}
	for _, salt := range []string{"", "some-pepper", "some-sugar"} {
		srv := startSim(t, callsim.Options{})
		s := run(t, parts{processors: []string{"happyrobot_dial:\n  " + indent(2, dialYAML(srv.URL, "result_map: root = this", "dial_ref_salt: "+salt))}})
		require.NoError(t, s.deliver(lead("+12025550101", "+12025550101")))
		require.Len(t, s.out.all(), 1)
		result := s.out.all()[0]["json"].(map[string]any)
		ref := result["dial_ref"].(string)
		assert.Len(t, ref, 32)
		assert.Equal(t, ref, s.out.all()[0]["@happyrobot_dial_ref"])
		assert.Equal(t, map[string]int{ref: 1}, srv.Sim.CallsBy("metadata.dial_ref"))
		assert.NotContains(t, s.logs.String(), "some-")
		refs[ref] = true
	}
	assert.Len(t, refs, 3)
	assert.Contains(t, refs, "c920c76bc32fadbbd862f039ea507ba4", "without a salt the reference is the digest of the key, as before")
}
