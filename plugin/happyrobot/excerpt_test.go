package happyrobot_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const (
	teamHeader  = "T34m-Secret"
	traceHeader = "trace=af7651916cd43dd8448eb211c80319c"
)

// Of which base64 is written in two alphabets.
const oddHeader = "~~~??>>>\u00ff~~?"

var keyWritten = base64.StdEncoding.EncodeToString([]byte(testKey))[:10]

// leadCall is a call whose every value is somebody's, or a secret.
func leadCall() happyrobot.OutboundCall {
	return happyrobot.OutboundCall{
		NumberID: "64f0c0de00000000000000c1", PhoneNumber: "+14155550100", UseCaseID: "64f0c0de00000000000000b1", Language: "en",
		Params: map[string]any{
			"customer_name": "José \"Pepe\" O'Neil", "first": "Bo", "city": "São Paulo", "wide": "王小明", "contact": "Ada Lovelace",
			"account": json.Number("48213"), "note": "Please do not ring before the baby sleeps, thank you",
			"double": "Anna-Lena Schröder", "street": "Große Straße", "greek": "Γιώργος", "nested": []any{map[string]any{"door": "Gate B/7"}}, "flag": "a", "one": "1", "vip": true, "missing": "phone_number",
		},
		Metadata: map[string]any{"lead_id": "lead-77-x", "dial_ref": "0a1b2c3d4e5f", "mail": "pepe.oneil@example.co.uk"},
	}
}

// refusedWith is the error of a dial of leadCall that is refused with a body.
func refusedWith(t *testing.T, body string) *happyrobot.Error {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	client := newClient(t, srv.URL, func(o *happyrobot.Options) {
		o.Headers = map[string]string{"X-Team": teamHeader, "X-Trace": traceHeader, "X-Odd": oddHeader}
	})
	_, err := client.CreateOutboundCalls(t.Context(), []happyrobot.OutboundCall{leadCall()})
	var e *happyrobot.Error
	require.ErrorAs(t, err, &e)
	return e
}

// hidden are texts that must not appear, with what betrays each: letters and digits
// of it, without case and punctuation.
var hidden = []struct{ text, betrays string }{
	// The number, however punctuated.
	{"+14155550100", "0100"}, {"415_555_0100", "0100"}, {"415,555,0100", "0100"}, {"415\u2013555\u20130100", "0100"}, {"415.555.0100", "0100"},
	{"(415) 555-0100", "0100"}, {"+1 (415) 555 - 0100", "0100"}, {"4 1 5 5 5 5 0 1 0 0", "0 1 0 0"}, {"415/555/0100", "0100"}, {"415x555x0100", "0100"}, {"415X555X0100", "0100"}, {"415:555:0100", "0100"},
	{"٤١٥٥٥٥٠١٠٠", "٠١٠٠"}, {"４１５５５５０１００", "０１００"}, {"415\u00a0555\u00a00100", "0100"}, {"415\u200b555\u200b0100", "0100"},
	{"%2B14155550100", "0100"}, {"tel:+1-415-555-0100;ext=7", "0100"}, {"5550100", "0100"}, {"14155550100.0", "0100"}, {"415\u2011555\u20110100", "0100"},
	{"1.4155550100e+10", "5550100"}, {"4\ufe0f\u20e31\ufe0f\u20e35\ufe0f\u20e35\ufe0f\u20e35\ufe0f\u20e30\ufe0f\u20e31\ufe0f\u20e3", "5\u20e35"},
	{"212x555x0123", "0123"}, {"212 x 555 X 0123", "0123"}, {`\u{34}\u{31}\u{35}5550100`, "{34}"}, {"=34=31=35=35=35=35=30=31=30=30", "=30=30"},
	// Mail addresses, of the request and of others.
	{"pepe.oneil@example.co.uk", "oneil"}, {"PEPE.ONEIL@EXAMPLE.CO.UK", "oneil"}, {"somebody.else+tag@mail.example.com", "somebody"}, {"jürgen@münchen.example", "münchen"},
	{"pepe.oneil", "oneil"}, {"user PEPE.ONEIL unknown", "oneil"}, {"mailto:x@y.example", "x@y"}, {"somebody%40mail.example.com", "somebody"},
	// Values of the request.
	{`José "Pepe" O'Neil`, "neil"}, {`JOSÉ "PEPE" O'NEIL`, "neil"}, {`José \"Pepe\" O'Neil`, "neil"}, {`Jos\u00e9 \u0022Pepe\u0022 O\u0027Neil`, "neil"},
	{`Jos\\u00e9 \\\"Pepe\\\" O'Neil`, "neil"}, {"José &quot;Pepe&quot; O&#39;Neil", "neil"}, {"Jos&eacute; &#34;Pepe&#34; O&apos;Neil", "neil"},
	{"Jos%C3%A9%20%22Pepe%22%20O%27Neil", "neil"}, {"Jos%C3%A9+%22Pepe%22+O%27Neil", "neil"}, {`Jose "Pepe" O'Neil`, "neil"}, {"Jose\u0301 \"Pepe\" O'Neil", "neil"},
	{"Jos\xe9 \"Pepe\" O'Neil", "neil"}, {"JosÃ© \"Pepe\" O'Neil", "neil"}, {`b'Jos\xc3\xa9 "Pepe" O'Neil'`, "neil"}, {"José  \"Pepe\"\n O'Neil", "neil"}, {"José_Pepe_O_Neil", "neil"},
	{"Bo", "bo "}, {"BO", "bo "}, {"São Paulo", "paulo"}, {"Sao Paulo", "paulo"}, {"SAO-PAULO", "paulo"},
	{"王小明", "小明"}, {"客户王小明不存在", "小明"}, {`\u738b\u5c0f\u660e`, "小明"},
	{"Ada Lovelace", "lovelace"}, {"ADA LOVELACE", "lovelace"}, {"Lovelace, Ada", "lovelace"}, {"Ms Lovelace", "lovelace"}, {"Ada's call", "ada"},
	{"Anna-Lena Schröder", "schröder"}, {"Lena", "lena"}, {"Ms ANNA", "anna"}, {"Schröder", "schröder"}, {"Anna Lena", "lena"},
	{`\u{4c}\u{00065}na`, "{4c}"}, {`Sch\u{72}\u{f6}der`, "{f6}"}, {"=4C=65=6E=61", "=6e=61"}, {"Schr=C3=B6der", "schr"}, {"=4c=6f=76=65=6c=61=63=65", "=6c=61"},
	{"Ada Lovel...", "lovel"}, {"Ada Lo…", "ada lo"}, {"lead-7 ...", "lead-7"}, {"Please do n...", "please do"},
	{"GROSSE STRASSE", "strasse"}, {"Große Straße", "straße"}, {"ΓΙΏΡΓΟΣ", "γιωργο"}, {"ΓΙΩΡΓΟΣ", "γιωργο"},
	{"48213", "48213"}, {"Please do not ring before the baby sleeps, thank you", "baby"}, {"Please do not ring before the ba...", "before"}, {"...ring before the baby sleeps, th", "baby"},
	{"Gate B/7", "gate b"}, {"lead-77-x", "77"}, {"LEAD-77-X", "77"}, {"0a1b2c3d4e5f", "0a1b"}, {"64f0c0de00000000000000c1", "64f0"}, {"(en)", "(en)"},
	// What the client is configured with.
	{testKey, "4d1f"}, {"Bearer " + testKey, "4d1f"}, {testKey[:12] + "***", "4d1f"}, {strings.ToUpper(testKey), "4d1f"}, {url.QueryEscape("key=" + testKey), "4d1f"},
	{teamHeader, "t34m"}, {strings.ToLower(teamHeader), "t34m"}, {"x" + teamHeader + "y", "t34m"}, {traceHeader, "af76"}, {traceHeader[:24], "af76"},
	{base64.StdEncoding.EncodeToString([]byte(testKey)), keyWritten}, {base64.RawURLEncoding.EncodeToString([]byte(testKey)), keyWritten},
	{base64.StdEncoding.EncodeToString([]byte("Bearer " + testKey)), base64.StdEncoding.EncodeToString([]byte("Bearer " + testKey))[12:24]},
	{base64.URLEncoding.EncodeToString([]byte(teamHeader)), base64.StdEncoding.EncodeToString([]byte(teamHeader))[:8]},
	{base64.RawStdEncoding.EncodeToString([]byte("u:" + traceHeader)), base64.StdEncoding.EncodeToString([]byte("u:" + traceHeader))[8:20]},
	{base64.StdEncoding.EncodeToString([]byte(oddHeader)), "Pj7Dv35"}, {base64.URLEncoding.EncodeToString([]byte(oddHeader)), "Pj7Dv35"},
	// Credentials of others.
	{"Bearer abc123def456", "abc123"}, {"bearer: a.b-c_d1", "a.b-c"}, {"Basic dXNlcjpwYXNzd29yZA==", "dxnl"}, {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_DEF", "eyj"},
}

// bodies are the ways in which an API quotes a text.
func bodies(text string) map[string]string {
	written, _ := json.Marshal(text)
	return map[string]string{
		"plain":      "the value " + text + " is not accepted",
		"a message":  `{"message":"the value ` + strings.Trim(string(written), `"`) + ` is not accepted"}`,
		"an error":   `{"error":` + string(written) + `,"statusCode":422}`,
		"nested":     `{"errors":[{"path":["params","customer_name"],"input":` + string(written) + `,"msg":"is not accepted"}]}`,
		"in a text":  `{"message":` + mustJSON(`{"input":`+string(written)+`}`) + `}`,
		"HTML":       "<html><body><p>the value <b>" + html.EscapeString(text) + "</b> is not accepted</p></body></html>",
		"a path":     "no route /x/" + url.PathEscape(text) + "?q=" + url.QueryEscape(text) + " found",
		"bare":       text,
		"with tabs":  "\t" + text + "\t\r\n",
		"far behind": strings.Repeat(" ", 3000) + text + " is not accepted",
	}
}

func mustJSON(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// shows reports whether a text holds what betrays another, in any case and accents.
func shows(text, betrays string) bool {
	fold := func(s string) string {
		return strings.ToLower(strings.Map(func(r rune) rune {
			if unicode.Is(unicode.Mn, r) {
				return -1
			}
			return r
		}, norm.NFD.String(s)))
	}
	return strings.Contains(fold(text)+" ", fold(betrays))
}

func TestNothingOfTheRequestOrTheClientShowsInAnError(t *testing.T) {
	for _, tc := range hidden {
		for form, body := range bodies(tc.text) {
			e := refusedWith(t, body)
			for _, text := range []string{e.Error(), e.Body, e.Message, fmt.Sprintf("%+v", *e)} {
				assert.False(t, shows(text, tc.betrays), "%q as %s: %s", tc.text, form, text)
			}
		}
	}
}

func TestEveryValueOfARequestIsMaskedWhenAllOfItIsEchoed(t *testing.T) {
	call := leadCall()
	echo, err := call.Encode()
	require.NoError(t, err)
	e := refusedWith(t, `{"detail":"unprocessable","body":`+string(echo.Bytes())+`}`)
	for _, value := range []string{"Neil", "Pepe", `"Bo"`, "Paulo", "小明", "Lovelace", "48213", "baby", "Gate", "lead-77", "0a1b2c", "oneil", "64f0c0de", "5550100"} {
		assert.NotContains(t, e.Body, value)
	}
	assert.Contains(t, e.Body, `"number_id":"(value)"`, "names of members stay")
	assert.Contains(t, e.Body, "unprocessable")
}

func TestAnErrorStaysUseful(t *testing.T) {
	for _, words := range []string{
		"phone_number must be E.164", "language must be one of en-US, en-GB, es-MX", "params.customer_name is required", "number_id is unknown",
		"a call takes at most 100 params of 1 to 250 characters", "phone number is missing", "metadata.lead_id must be a string", "bearer authentication is required",
		"missing field `phone_number` (line 1, column 30)", "unexpected member first", "contact support with request id 7f3a-21", "status 503: upstream is not ready",
	} {
		assert.Contains(t, refusedWith(t, mustJSON(map[string]string{"message": words})).Error(), words)
		assert.Contains(t, refusedWith(t, words).Body, words)
	}
}

func TestAnErrorHoldsNoControlCharacters(t *testing.T) {
	e := refusedWith(t, `{"message":"\u001b[31mred\u0007 \u202eleft\r\nINFO forged"}`)
	assert.Equal(t, "[31mred left INFO forged", e.Message)
}

func TestASecretThatIsCutAtTheEndOfWhatIsReadDoesNotShow(t *testing.T) {
	for _, tc := range []struct{ text, betrays string }{{testKey, "test-"}, {"Ada Lovelace", "lov"}, {"+14155550100", "415"}, {teamHeader, "t34"}, {"pepe.oneil@example.co.uk", "pepe"}} {
		for kept := 1; kept < len(tc.text); kept++ {
			e := refusedWith(t, strings.Repeat(" ", 4<<10-kept)+tc.text)
			assert.False(t, shows(e.Body, tc.betrays), "%d of %q: %s", kept, tc.text, e.Body)
		}
	}
}

func TestAQueryIsMaskedButItsWords(t *testing.T) {
	_, client := answering(t, reply{status: http.StatusUnprocessableEntity, body: "sort asc, type Outbound, campaigns Winter-Sale, from 2026-03-10"})
	_, err := client(nil).ListCallsPage(t.Context(), happyrobot.ListCallsQuery{Type: happyrobot.Outbound, Sort: "asc", Campaigns: []string{"Winter-Sale"}})
	var e *happyrobot.Error
	require.ErrorAs(t, err, &e)
	assert.Contains(t, e.Body, "sort asc, type Outbound, campaigns (value)")
}

func TestWhatABrokenPeerQuotesIsMasked(t *testing.T) {
	srv := serveRaw(t, func(conn net.Conn, _ int) bool {
		say("HTTP/1.1 %s\r\n\r\n", "Ada Lovelace "+testKey)(conn)
		return false
	})
	_, err := newClient(t, srv.url, nil).CreateOutboundCalls(t.Context(), []happyrobot.OutboundCall{leadCall()})
	require.Error(t, err)
	assert.False(t, shows(err.Error(), "lovelace"), err)
	assert.False(t, shows(err.Error(), "4d1f"), err)
}

// The comparison is bounded by the sizes of the two, whatever is in them.
func TestMaskingIsQuickWhateverTheTextAndTheRequest(t *testing.T) {
	call := leadCall()
	call.Params = map[string]any{"a": strings.Repeat("a", 256<<10), "b": strings.Repeat("ab ", 80<<10), "c": base64.StdEncoding.EncodeToString(make([]byte, 64<<10))}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = io.WriteString(w, strings.Repeat("a", 1<<11)+strings.Repeat("ab", 1<<10))
	}))
	t.Cleanup(srv.Close)
	began := time.Now()
	_, err := newClient(t, srv.URL, nil).CreateOutboundCalls(t.Context(), []happyrobot.OutboundCall{call})
	require.Error(t, err)
	assert.Less(t, time.Since(began), time.Minute, "comparing everything with everything would take minutes")
	assert.Contains(t, err.Error(), "status 422")
}
