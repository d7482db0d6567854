package plugin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scanLeads reads a text with the scanner, as its config says.
func scanLeads(t *testing.T, config string, file io.Reader) (messages []string, err error) {
	t.Helper()
	spec := service.NewConfigSpec().Field(service.NewScannerField("scanner"))
	parsed, err := spec.ParseYAML("scanner: { happyrobot_leads: "+config+" }", nil)
	require.NoError(t, err)
	creator, err := parsed.FieldScanner("scanner")
	require.NoError(t, err)
	acked := 0
	scanner, err := creator.Create(io.NopCloser(file), func(context.Context, error) error { acked++; return nil }, service.NewScannerSourceDetails())
	require.NoError(t, err)
	defer func() {
		require.NoError(t, scanner.Close(t.Context()))
		if err == nil {
			assert.Equal(t, 1, acked, "the file counts as read once its messages are acknowledged")
		}
	}()
	for {
		batch, ack, err := scanner.NextBatch(t.Context())
		if errors.Is(err, io.EOF) {
			return messages, nil
		}
		if err != nil {
			return messages, err
		}
		for _, msg := range batch {
			content, err := msg.AsBytes()
			require.NoError(t, err)
			messages = append(messages, string(content))
		}
		require.NoError(t, ack(t.Context(), nil))
	}
}

func TestLeadsScannerTakesWhatEditorsAndExportsAddToLines(t *testing.T) {
	t.Parallel()
	a, b := `{"id":"a"}`, `{"id":"b"}`
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"plain":                          {a + "\n" + b + "\n", []string{a, b}},
		"no newline at the end":          {a + "\n" + b, []string{a, b}},
		"CRLF":                           {a + "\r\n" + b + "\r\n", []string{a, b}},
		"byte order mark":                {"\ufeff" + a + "\n" + b, []string{a, b}},
		"byte order mark, empty line":    {"\ufeff\r\n" + a, []string{a}},
		"blank lines":                    {"\n \t\n" + a + "\n\r\n\n" + b + "\n\n  \n", []string{a, b}},
		"empty":                          {"", nil},
		"only a mark":                    {"\ufeff", nil},
		"only blanks":                    {" \r\n\n", nil},
		"indented":                       {"  " + a + "\n\t" + b, []string{"  " + a, "\t" + b}},
		"a line that is no JSON":         {a + "\nlead-1;nobody\n" + b, []string{a, "lead-1;nobody", b}},
		"a line that is cut off":         {a + "\n" + `{"id":"x","pho` + "\n" + b, []string{a, `{"id":"x","pho`, b}},
		"a complete array between":       {a + "\n[1]\n" + b, []string{a, "[1]", b}},
		"array in one line":              {"[" + a + "," + b + "]\n", []string{"[" + a + "," + b + "]\n"}},
		"array in one line, then leads":  {"[" + a + "]\n" + b + "\n", []string{"[" + a + "]\n" + b + "\n"}},
		"pretty array":                   {"[\n  " + a + ",\n  " + b + "\n]\n", []string{"[\n  " + a + ",\n  " + b + "\n]\n"}},
		"array that lost its end":        {"[\n" + a + ",\n" + b, []string{"[\n" + a + ",\n" + b}},
		"array that lost a comma":        {"\n[\n" + a + "\n" + b + "\n]", []string{"[\n" + a + "\n" + b + "\n]"}},
		"array that lost its start":      {a + ",\n" + b, []string{a + ",\n" + b}},
		"array after leads":              {a + "\n[\n" + b + "\n]", []string{a, "[\n" + b + "\n]"}},
		"array in a script":              {"const leads = [\n" + a + ",\n" + b + "\n]", []string{"const leads = [\n" + a + ",\n" + b + "\n]"}},
		"array in an object":             {`{"leads": [` + "\n" + a + "\n]}", []string{`{"leads": [`, "\n" + a + "\n]}"}},
		"pretty object":                  {"{\n" + `"id": "a"` + "\n}\n", []string{"{", "\n" + `"id": "a"` + "\n}\n"}},
		"pretty objects":                 {"{\n" + `"id": "a"` + "\n}\n{\n" + `"id": "b"` + "\n}\n", []string{"{\n" + `"id": "a"` + "\n}\n{\n" + `"id": "b"` + "\n}\n"}},
		"array that lost its first line": {a + "\n,\n" + b, []string{a, ",\n" + b}},
		"comma before a lead":            {a + "\n," + b + "\n" + b, []string{a, "," + b + "\n" + b}},
		"comment":                        {"/*\n" + a + "\n*/\n" + b, []string{"/*\n" + a + "\n*/\n" + b}},
		"comment that says something":    {b + "\n /* old\r\n" + a, []string{b, " /* old\n" + a}},
		"fence":                          {"```json\n" + a + "\n```\n", []string{"```json\n" + a + "\n```\n"}},
		"function call":                  {"callback(\n" + a + "\n)", []string{"callback(\n" + a + "\n)"}},
		"a text that looks like those":   {`{"id":"/*"}` + "\n" + `"(` + `"` + "\n" + b, []string{`{"id":"/*"}`, `"("`, b}},
		"files joined":                   {a + "\n\ufeff" + b + "\n", []string{a, b}},
		"files joined, blanks":           {a + "\n \ufeff\t" + b + "\n", []string{a, " \t" + b}},
		"two byte order marks":           {"\ufeff\ufeff" + a + "\n" + b, []string{a, b}},
		"byte order mark after blanks":   {"\n \n\ufeff" + a, []string{a}},
		"array after a mark":             {a + "\n\ufeff[\n" + b + "\n]", []string{a, "[\n" + b + "\n]"}},
		"first line, mark and array":     {"\n\ufeff[" + a + "]\n" + b, []string{"[" + a + "]\n" + b}},
		"a part of a mark":               {"\xef\xbb", []string{"\xef\xbb"}},
		"UTF-16, little endian":          {"\xff\xfe{\x00}\x00\n\x00", []string{"\xff\xfe{\x00}\x00\n\x00"}},
		"UTF-16, big endian":             {"\xfe\xff\x00{\x00}\x00\n", []string{"\xfe\xff\x00{\x00}\x00\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, file := range []io.Reader{strings.NewReader(test.text), iotest.OneByteReader(strings.NewReader(test.text))} {
				got, err := scanLeads(t, "{}", file)
				require.NoError(t, err)
				assert.Equal(t, test.want, got)
			}
		})
	}
}

func TestLeadsScannerCutsWhatIsTooLong(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 10, 4095, 4096, 4097, 10_000} {
		config := fmt.Sprintf("{ max_line_bytes: %d }", size)
		whole, long := strings.Repeat("x", size), strings.Repeat("y", size+1)
		for _, end := range []string{"\n", "\r\n"} {
			got, err := scanLeads(t, config, strings.NewReader(whole+end+long+end+long+long+end+whole+end))
			require.NoError(t, err)
			assert.Equal(t, []string{whole, long[:size] + "…", long[:size] + "…", whole}, got)
		}
		got, err := scanLeads(t, config, strings.NewReader("[\n"+long))
		require.NoError(t, err)
		assert.Equal(t, []string{("[\n" + long)[:size] + "…"}, got)
	}
}

func TestLeadsScannerDoesNotCountBlanks(t *testing.T) {
	t.Parallel()
	const lead = `{"id":"a"}`
	all := []string{strings.Repeat(" ", 2<<20), strings.Repeat("\t\r", 1<<20), strings.Repeat(" \n", 1<<20), strings.Repeat("\ufeff", 1<<20)}
	for _, blanks := range all[:sized(len(all), 1)] {
		got, err := scanLeads(t, "{}", strings.NewReader(blanks+lead+"\n"+blanks+"\n"+blanks+lead))
		require.NoError(t, err)
		require.Len(t, got, 2)
		for _, message := range got {
			assert.Equal(t, lead, strings.TrimSpace(message))
		}
	}
	got, err := scanLeads(t, "{ max_line_bytes: 10 }", strings.NewReader(strings.Repeat(" ", 10)+lead+"\n"+strings.Repeat(" ", 11)+lead+"x"))
	require.NoError(t, err)
	assert.Equal(t, []string{strings.Repeat(" ", 10) + lead, lead + "…"}, got)
}

func TestLeadsScannerReportsAFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	got, err := scanLeads(t, "{}", io.MultiReader(strings.NewReader("{}\n"), iotest.ErrReader(errors.New("the disk is gone"))))
	require.ErrorContains(t, err, "the disk is gone")
	assert.Equal(t, []string{"{}"}, got)
}

// However JSON is broken into lines, and wherever it is cut off, no line of it is taken
// for a lead.
func TestLeadsScannerTakesNoPartOfJSONForALead(t *testing.T) {
	t.Parallel()
	lead := []string{`{"id":"a","phone":"+12025550101"}`}
	array := func(elements ...[]string) (tokens []string) {
		tokens = append(tokens, "[")
		for i, e := range elements {
			if i > 0 {
				tokens = append(tokens, ",")
			}
			tokens = append(tokens, e...)
		}
		return append(tokens, "]")
	}
	object := func(value ...string) []string {
		return append(append([]string{"{", `"n"`, ":", "1", ",", `"leads"`, ":"}, value...), "}")
	}
	documents := [][]string{
		array(lead), array(lead, lead, lead), array([]string{"1"}, lead), array(array(lead, lead), lead),
		object(lead...), object(array(lead)...), object(array(lead, lead)...), object(object(lead...)...),
	}
	random := rand.New(rand.NewPCG(8, 1))
	for range sized(20_000, 1_000) {
		tokens := documents[random.IntN(len(documents))]
		breaks := 0
		var text strings.Builder
		for i, token := range tokens[:1+random.IntN(len(tokens))] {
			if separator := []string{"", " ", "\n", "\r\n  ", "\n\n"}[random.IntN(5)]; i > 0 {
				text.WriteString(separator)
				breaks += strings.Count(separator, "\n")
			}
			text.WriteString(token)
		}
		got, err := scanLeads(t, "{}", strings.NewReader(text.String()))
		require.NoError(t, err)
		for _, message := range got {
			if message = strings.TrimSpace(message); strings.HasPrefix(message, "{") && breaks > 0 {
				require.False(t, json.Valid([]byte(message)), "%q of %q", message, text.String())
			}
		}
	}
}

func TestLeadsScannerLint(t *testing.T) {
	t.Parallel()
	linter := service.NewEnvironment().NewComponentConfigLinter()
	for config, want := range map[string]string{
		`file: { paths: [ x ], scanner: { happyrobot_leads: {} } }`:                       "",
		`file: { paths: [ x ], scanner: { happyrobot_leads: { max_line_bytes: 4096 } } }`: "",
		`file: { paths: [ x ], scanner: { happyrobot_leads: { max_line_bytes: 0 } } }`:    "max_line_bytes",
	} {
		lints, err := linter.LintInputYAML([]byte(config))
		require.NoError(t, err)
		if want == "" {
			assert.Empty(t, lints)
			continue
		}
		require.Len(t, lints, 1)
		assert.Contains(t, lints[0].Error(), want)
	}
}
