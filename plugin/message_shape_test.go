package plugin_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func TestAMessageThatIsNotOneObjectIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ message, says string }{
		"array":              {`[{"id":"a","phone":"+12025550101"}]`, "jq -c '.[]'"},
		"part of an array":   {`[{"id":"a","phone":"+12025550101"},`, "jq -c '.[]'"},
		"object in lines":    {"{\n\"id\":\"a\"\n}{", "jq -c ."},
		"UTF-16":             {"\xff\xfe{\x00", "UTF-8"},
		"byte order mark":    {"\ufeff" + `{"id":"a","phone":"+12025550101"}`, "byte order mark"},
		"UTF-16, no mark":    {"{\x00\"\x00i\x00d\x00\"\x00", "UTF-8"},
		"NUL bytes":          {`{"id":"a","phone":"+12025550101"` + "\x00\x00}", "the file is damaged"},
		"gzip":               {"\x1f\x8b\x08\x00\x00\x00\x00\x00", "unpack it first"},
		"CR":                 {`{"id":"a","phone":"+12025550101"}` + "\r" + `{"id":"c"}`, "lines must end with LF"},
		"objects in a line":  {`{"id":"a","phone":"+12025550101"} {"id":"c"}`, "several objects on one line"},
		"a line cut":         {`{"id":"a","phone":"+12025550101","no…`, "longer than max_line_bytes"},
		"comment":            {"/*\n" + `{"id":"a","phone":"+12025550101"}` + "\n*/", "jq -c ."},
		"no JSON":            {"a;+12025550101", "the message is not JSON"},
		"JSON that is torn":  {`{"id":"a","pho`, "the message is not JSON"},
		"commas after lines": {`{"id":"a","phone":"+12025550101"},`, "remove the commas"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := startSim(t, callsim.Options{})
			s := run(t, dialParts(srv.URL))
			require.NoError(t, s.deliver(tc.message, `{"id":"b","phone":"+12025550102"}`))
			require.Len(t, s.out.all(), 1)
			got := s.out.all()[0]["@fallback_error"].(string)
			assert.Contains(t, got, "rejected: invalid_json: ")
			assert.Contains(t, got, tc.says)
			assert.NotContains(t, got, "2025550101")
			assert.Equal(t, map[string]int{"+12025550102": 1}, srv.Sim.CallsBy("phone_number"))
		})
	}
}

// A mapping may take an array, or need no JSON at all: then the shape is no fault.
func TestAMessageOfAnyShapeIsDialedIfItsMappingTakesIt(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	p := dialParts(srv.URL)
	p.output = `
happyrobot_dial:
  api_key: test-key
  base_url: "` + srv.URL + `"
  call_mapping: |
    root.number_id = "64f0c0de00000000000000c1"
    root.phone_number = this.index(0).phone.catch(content().string().trim_prefix("["))
`
	s := run(t, p)
	require.NoError(t, s.deliver(`[{"phone":"+12025550101"}]`, `[+12025550102`))
	assert.Equal(t, map[string]int{"+12025550101": 1, "+12025550102": 1}, srv.Sim.CallsBy("phone_number"))
}
