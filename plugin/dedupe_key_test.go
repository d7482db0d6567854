package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
)

// keyBefore is how keys were computed before they were judged. It stays here: the
// ledgers in the field were written with it.
func keyBefore(template string, msg *service.Message) (string, error) {
	text, err := service.NewInterpolatedString(template)
	if err != nil {
		return "", err
	}
	return keyBeforeOf(text, msg)
}

func keyBeforeOf(text *service.InterpolatedString, msg *service.Message) (string, error) {
	key, err := service.MessageBatch{msg}.InterpolationExecutor(text).TryString(0)
	if err != nil {
		return "", err
	}
	if key = strings.TrimSpace(key); key == "" || key == "null" {
		return "", errors.New("is empty")
	}
	return key, nil
}

func keyNow(template string, msg *service.Message) (string, error) {
	text, err := service.NewInterpolatedString(template)
	if err != nil {
		return "", err
	}
	return newDedupeKey(template, text).of(service.MessageBatch{msg}).key(0)
}

func TestExpressionsOfATemplate(t *testing.T) {
	t.Parallel()
	for template, want := range map[string][]string{
		``:                                 nil,
		`all`:                              nil,
		`$ {! } $$ }`:                      nil,
		`${! json("id") }`:                 {`${! json("id") }`},
		`${!json("c")}/${!this.id}.`:       {`${!json("c")}`, `${!this.id}`},
		`${! "a}b" }-${! this.x.or({}) }}`: {`${! "a}b" }`, `${! this.x.or({}) }`},
		`${{!escaped}}${! this.id }`:       {`${! this.id }`},
		`$${! this.id }`:                   {`${! this.id }`},
		`${! """a}"b""" }${! {"a":{"b":this.id}}.a.b }`:                            {`${! """a}"b""" }`, `${! {"a":{"b":this.id}}.a.b }`},
		`${! match this.x { this == 1 => "}" , _ => "b" } } ${! (this.a + "}") }}`: {`${! match this.x { this == 1 => "}" , _ => "b" } }`, `${! (this.a + "}") }`},
		`ü${! if this.a == "ü}" { "x" } else { "y" } }é`:                           {`${! if this.a == "ü}" { "x" } else { "y" } }`},
		`${! function_of_the_host(this.id) }/${! this.id }`:                        {`${! function_of_the_host(this.id) }/${! this.id }`},
	} {
		assert.Equal(t, want, expressions(template), template)
	}
}

func TestAKeyNamesOneLead(t *testing.T) {
	t.Parallel()
	const one, two = `${! json("id") }`, `${! json("c") }/${! json("id") }`
	good := func(template, message, key string) {
		t.Helper()
		got, err := keyNow(template, service.NewMessage([]byte(message)))
		require.NoError(t, err, "%s of %s", template, message)
		assert.Equal(t, key, got)
		before, err := keyBefore(template, service.NewMessage([]byte(message)))
		require.NoError(t, err)
		assert.Equal(t, before, got, "a key never changes to another")
	}
	bad := func(template, message string, words ...string) {
		t.Helper()
		key, err := keyNow(template, service.NewMessage([]byte(message)))
		require.Error(t, err, "%s of %s gave %q", template, message, key)
		assert.Equal(t, "dedupe_key_failed", reasonOf(err))
		for _, word := range words {
			assert.ErrorContains(t, err, word)
		}
	}

	for _, id := range []string{
		"L1", "0", "false", "nullarbor-7", "annul", "Nilsson", "none-such", "Nonesuch", "nanny", "undefinedx", "7e3", "5e12", "1.0", "12.50", "N-A", "Anna",
		"#7", "a b", "ünull", "nullé", "x@nil.example", "Will/Nilla", "+12025550101", "2026-03-01T10:00:00+01:00", "[x]", "-",
		"dev-null", "c1-null", "lead null", "null-7", "a.null", "NaN-7", "undefined behaviour", "Null, Anna", "NULL, ANNA", "Anna, None", "note: none", "Nat", "NAT", "nat", "Nan", "Nat/7", "Nan/7", "Null/7", "NAN/7", "Nat, Anna",
		"https://crm.example/leads/7", "/leads/7", "leads/7/", "a//b", "room 3e+4", "room 3E+4", "3E+4 rooms", "x_1E+11",
	} {
		quoted, _ := json.Marshal(id)
		good(one, `{"id":`+string(quoted)+`}`, id)
		good(two, `{"c":"c1","id":`+string(quoted)+`}`, "c1/"+id)
		good(two, `{"c":`+string(quoted)+`,"id":"x"}`, id+"/x")
		good(`null-${! json("id") }/none`, `{"id":`+string(quoted)+`}`, "null-"+id+"/none")
		good(`${! json("c") + "-" + this.id.string() }`, `{"c":"c1","id":`+string(quoted)+`}`, "c1-"+id)
		good(`${! json("id").uppercase() }`, `{"id":`+string(quoted[:1])+"x"+string(quoted[1:])+`}`, "X"+strings.ToUpper(id))
	}
	good(`${! this.id.uppercase() }`, `{"id":"room 3e+4"}`, "ROOM 3E+4")
	templates := []string{two, `${! json("id") }/x`, `x${!this.id}y`, `${! this.id } attempt ${! this.c }`, `a-${! json("c") }_${! json("id") }-b`}
	for _, id := range []string{`null`, `""`, `" "`, `"\t\n"`, `"\u00a0"`, `"\u200b"`, `"\ufeff"`, `[]`, `{}`} {
		message := `{"c":"c1","id":` + id + `}`
		bad(one, message, "dedupe_key: ")
		for _, template := range templates {
			bad(template, message, "is missing or empty in this message")
		}
	}
	for id, word := range map[string]string{
		`"null"`: "null", `"NULL"`: "NULL", `"Null"`: "Null", `" null "`: "null", `"None"`: "None", `"none"`: "none", `"NaN"`: "NaN", `"nan"`: "nan", `"NAN"`: "NAN", `"NaT"`: "NaT",
		`"nil"`: "nil", `"<nil>"`: "nil", `"undefined"`: "undefined", `"#N/A"`: "#N/A", `"N/A"`: "N/A", `"n/a"`: "n/a", `"<NA>"`: "<NA>", `"#REF!"`: "#REF!", `"(null)"`: "null", `"\"null\""`: "null",
		`"c1/null"`: "null", `"null/7"`: "null", `"c1:None"`: "None", `"c1/#N/A"`: "#N/A", `"c1/N/A"`: "N/A", `"c1/nan"`: "nan", `"nan/7"`: "nan", `"c1|NULL"`: "NULL", `"c1;NaT;x"`: "NaT", `"c1 / null"`: "null", `"c1,null"`: "null",
		`"c1/undefined/x"`: "undefined", `"%!s(<nil>)"`: "<nil>", `"c1-<nil>"`: "<nil>", `"c1-<NA>"`: "<NA>", `[null]`: "null", `{"a":null}`: "null", `["c1",null]`: "null",
	} {
		for _, template := range append(templates, one) {
			bad(template, `{"c":"c1","id":`+id+`}`, "holds the word "+word+", which programs write for a missing value")
		}
	}
	for _, absent := range []string{`{"c":"c1"}`, `{}`, `{"id":"x"}`} {
		bad(two, absent, "is missing or empty")
	}
	bad(`${! this.c.string() + "/" + this.id.string() }`, `{"c":"c1"}`, "is missing or empty")
	bad(`${! "%v/%v".format(this.c, this.id) }`, `{"c":"c1"}`, "is missing or empty")
	bad(`${! @lead }`, `{}`)
	bad(`${! this.id.uppercase() }`, `{}`, "dedupe_key: ")

	// A whole message is its own key: what is missing in it is not missing in the key.
	good(`${! content() }`, `{"id":"L1","note":null}`, `{"id":"L1","note":null}`)
	good(`${! content() }`, `{"id":"L1","sizes":[1e+21]}`, `{"id":"L1","sizes":[1e+21]}`)
	good(`${! json() }`, `{"note":null,"id":"L1"}`, `{"id":"L1","note":null}`)
	good(`every lead is one`, `{}`, `every lead is one`)
	good(`${{!json("id")}}`, `{}`, `${!json("id")}`)
	good(`${! this.c | "" }${! this.id }`+"", `{"c":"x","id":1}`, "x1")
}

// Two ids that differ may not have one key, however they differ.
func TestIDsThatCannotBeRepresentedExactlyAreNoKeys(t *testing.T) {
	t.Parallel()
	rounding := []string{
		`${! json("id") }`, `${!json("id")}`, `${! json("id").string() }`, `c1/${! json("id") }`, `${! json("id") }-${! json("c") }`, `${! json("id").or("x") }`,
		`${! this.id.number() }`, `${! this.id + 0 }`, `${! "lead " + json("id").string() }`, `${! json("id").format_json() }`,
		`${! json("id").string().hash("sha256").encode("hex") }`,
	}
	exact := []string{
		`${! this.id }`, `${! this.c }/${! this.id }`, `${! this.id.string() }`, `${! this.id | "x" }`, `${! content() }`, `${! content().hash("sha256").encode("hex") }`,
		`${! json() }`, `${! this.id.string().hash("sha256").encode("hex") }`, `${! match { this.id != null => this.id } }`,
	}
	for _, id := range []string{`18446744073709551617`, `9223372036854775808`, `-9223372036854775809`, `1.0`, `-0`, `1e3`, `1E3`, `1.50`, `0.10000000000000000001`, `12345678901234567890.5`, `1234567.0`} {
		message := `{"c":"c1","id":` + id + `}`
		for _, template := range rounding {
			_, err := keyNow(template, service.NewMessage([]byte(message)))
			if id == "-0" && strings.Contains(template, "number()") {
				continue // which is a float's -0, and exact
			}
			if assert.Error(t, err, "%s of %s", template, id) {
				assert.Equal(t, "dedupe_key_failed", reasonOf(err))
				assert.ErrorContains(t, err, "round")
			}
		}
		for _, template := range exact {
			key, err := keyNow(template, service.NewMessage([]byte(message)))
			require.NoError(t, err, "%s of %s", template, id)
			before, err := keyBefore(template, service.NewMessage([]byte(message)))
			require.NoError(t, err)
			assert.Equal(t, before, key)
		}
	}
	for _, id := range []string{`1`, `-7`, `9223372036854775807`, `9007199254740993`, `1.5`, `0`, `"18446744073709551617"`, `"1.0"`, `"1e3"`} {
		for _, template := range append(rounding[:6:6], exact...) {
			key, err := keyNow(template, service.NewMessage([]byte(`{"c":"c1","id":`+id+`}`)))
			require.NoError(t, err, "%s of %s", template, id)
			assert.NotEmpty(t, key)
		}
	}
	_, err := keyNow(`${! json("lead.id") }`, service.NewMessage([]byte(`{"lead":{"id":1.0}}`)))
	assert.ErrorContains(t, err, "write ${! this.lead.id }")
}

func TestNumbersThatTheKeyDoesNotNameAreNoTrouble(t *testing.T) {
	t.Parallel()
	const message = `{"id":7,"price":9.90,"at":1700000000.50,"scores":[1.0,{"x":18446744073709551617}],"name":"1.0"}`
	for template, want := range map[string]string{
		`${! json("id") }`:                                  "7",
		`${! json("name") }/${! json("id") }`:               "1.0/7",
		`${! json("price").floor() }`:                       "9",
		`${! json("at").ts_format("2006-01-02", "UTC") }`:   "2023-11-14",
		`${! if this.price > 5 { "dear" } else { "low" } }`: "dear",
		`${! json("scores").length() }`:                     "2",
		`${! json("scores.0").int64() }`:                    "1", // asked for in so many words
	} {
		key, err := keyNow(template, service.NewMessage([]byte(message)))
		require.NoError(t, err, template)
		assert.Equal(t, want, key)
	}
}

// Numbers that lost digits before they came here show it by their notation.
func TestRoundedNumbersAreNoKeys(t *testing.T) {
	t.Parallel()
	mapped := func(v any) *service.Message {
		msg := service.NewMessage(nil)
		msg.SetStructured(map[string]any{"id": v})
		return msg
	}
	for _, id := range []any{1.8446744073709552e19, -9.3e18, 1e21, "1.23457E+11", "4E+05", "1.8446744073709552e+19"} {
		for _, template := range []string{`${! json("id") }`, `${! this.id }`, `c1/${! this.id }`, `${! "c1/" + this.id.string() + "/x" }`} {
			_, err := keyNow(template, mapped(id))
			require.ErrorContains(t, err, "was rounded before", "%s of %v", template, id)
		}
	}
	for _, id := range []any{1234567.0, 1e6, 0.5, int64(1 << 62), "a1e+21b", "1e21", "E+5"} {
		_, err := keyNow(`${! this.id }`, mapped(id))
		assert.NoError(t, err, "%v", id)
	}
}

// Asking a part a second time must not change what it gives the next message.
func TestACountInAKeyIsCountedOnce(t *testing.T) {
	t.Parallel()
	template := `${! json("id") }/${! count("` + fmt.Sprint(rand.Uint64()) + `") }` // counts are of the process
	text, err := service.NewInterpolatedString(template)
	require.NoError(t, err)
	key := newDedupeKey(template, text)
	for n := 1; n <= 3; n++ {
		got, err := key.of(service.MessageBatch{service.NewMessage([]byte(`{"id":"a","price":1.0}`))}).key(0)
		require.NoError(t, err)
		assert.Equal(t, fmt.Sprintf("a/%d", n), got)
	}
}

func TestOnlyPureExpressionsAreAskedAgain(t *testing.T) {
	t.Parallel()
	for expression, steady := range map[string]bool{
		`${! json("id") }`: true, `${!this.id}`: true, `${! this.id.now() }`: true, `${! if (this.a) { json("b").or(meta("c")) } }`: true,
		`${! [json("a"),this.b].join("/") }`: true, `${! (this.a) }`: true, `${! @a }`: true,
		`${! count("x") }`: false, `${!uuid_v4()}`: false, `${! this.id + now() }`: false, `${! [count("x")].index(0) }`: false, `${! of_the_host(this.id) }`: false,
	} {
		assert.Equal(t, steady, isSteady(expression), expression)
	}
}

// A part that only a batch can answer is judged as part of that batch.
func TestAKeyMayLookAtTheBatch(t *testing.T) {
	t.Parallel()
	template := `${! json("run").from(0) }/${! json("id") }`
	text, err := service.NewInterpolatedString(template)
	require.NoError(t, err)
	keys := newDedupeKey(template, text).of(service.MessageBatch{
		service.NewMessage([]byte(`{"run":"r1","id":1}`)), service.NewMessage([]byte(`{"id":2}`)), service.NewMessage([]byte(`{"id":null}`)), service.NewMessage([]byte(`{"id":2.0}`)),
	})
	for i, want := range []string{"r1/1", "r1/2", "", ""} {
		got, err := keys.key(i)
		assert.Equal(t, want, got)
		assert.Equal(t, want == "", err != nil)
	}
}

// For every message, the key is the one of before, or there is none.
func checkKeys(t *testing.T, template string, messages ...string) (rejected int) {
	text, err := service.NewInterpolatedString(template)
	if err != nil {
		return 0
	}
	key := newDedupeKey(template, text)
	for i, message := range messages {
		if i < 3 { // it parses the template each time
			checkParts(t, template, text, message)
		}
		before, errBefore := keyBeforeOf(text, service.NewMessage([]byte(message)))
		now, errNow := key.of(service.MessageBatch{service.NewMessage([]byte(message))}).key(0)
		if errNow != nil {
			rejected++
			continue
		}
		require.NoError(t, errBefore, "%s of %s: a key where there was none", template, message)
		require.Equal(t, before, now, "%s of %s: a key changed to another", template, message)
	}
	return rejected
}

// checkParts joins a template's expressions again: they are those that Benthos sees.
func checkParts(t *testing.T, template string, whole *service.InterpolatedString, message string) {
	want, err := whole.TryString(service.NewMessage([]byte(message)))
	if err != nil {
		return
	}
	joined, rest := "", template
	static := func(text string) {
		joined += regexp.MustCompile(`(?s)\$\{\{!(.*?)\}\}`).ReplaceAllString(text, "$${!$1}")
	}
	for _, source := range expressions(template) {
		before, after, found := strings.Cut(rest, source)
		require.True(t, found)
		static(before)
		part, err := service.NewInterpolatedString(source)
		require.NoError(t, err, "%s of %s", source, template)
		value, err := part.TryString(service.NewMessage([]byte(message)))
		require.NoError(t, err, "%s of %s", source, template)
		joined, rest = joined+value, after
	}
	static(rest)
	require.Equal(t, want, joined, "the parts of %s", template)
}

func TestNoKeyChangesToAnother(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(8, 5))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	static := func() string {
		return pick("", "", "/", "-", " ", "null", "c1/", "}", "$", "{", "${{!x}}", "ü", " attempt ", "\"")
	}
	expression := func() string {
		path := pick("id", "id", "id", "id", "c", "c", "a.b", "none")
		return "${!" + pick("", " ") + pick(
			`json("`+path+`")`, `this.`+path, `this.`+path+`.string()`, `json("`+path+`") | "}"`, `content()`, `json()`, `this.`+path+`.or({})`, `"}"`, `@m`,
			`[this.id, this.c].string()`, `this.id.string() + "/" + this.c.string()`, `if this.id == null { "}" } else { this.id }`, `json("id").number()`,
			`(json("c").string() + "/" + this.`+path+`.string()).hash("xxhash64")`, `(this.`+path+` | "").string() + "/" + this.id.string()`, `"%v:%v".format(this.c, this.id)`, `this.id.or(this.c).or("x")`) + pick("", " ") + "}"
	}
	value := func() string {
		return pick(`"L1"`, `"L2"`, `"L3"`, `"c-1"`, `7`, `8`, `9`, `-1`, `0.5`, `"9"`, `"annul"`, `"1.0"`, `false`, `null`, `""`, `" x "`, `"null"`, `"a/null"`, `1`, `1.0`, `18446744073709551617`, `1e400`, `-0`, `true`, `[]`, `{"b":"x"}`, `[1.0,null]`, `"1E+21"`, `"ü}"`, `12345.678`)
	}
	templates, messages := 150, 100
	if testing.Short() {
		templates = 30
	}
	rejected := 0
	for range templates {
		template := static() + expression() + static()
		if rnd.IntN(2) == 0 {
			template += expression() + static()
		}
		var of []string
		for range messages {
			whole := `{"id":` + value() + `,"c":` + value() + `,"a":{"b":` + value() + `}}`
			of = append(of, pick(whole, whole, whole, whole, `{"id":`+value()+`,"c":"c1"}`, `{"id":`+value()+`,"a":{"b":`+value()+`}}`, value(), `no JSON`, ``))
		}
		rejected += checkKeys(t, template, of...)
	}
	t.Logf("%d of %d messages have no key", rejected, templates*messages)
	assert.Greater(t, rejected, templates*messages/10)
	assert.Less(t, rejected, templates*messages*9/10)
}

func FuzzDedupeKey(f *testing.F) {
	f.Add(`${! json("id") }`, `{"id":"a"}`)
	f.Add(`${! json("c") }/${! this.id }`, `{"c":"c1","id":1.0}`)
	f.Add(`${! "}" }${{!x}}$${! {"a":this.id}.a }`, `{"id":18446744073709551617}`)
	f.Add(`${! match this { this.id == null => "}", _ => this.id } }`, `{"id":null}`)
	f.Add(`${! (json("c") + "/" + this.id.string()).hash("sha256").encode("hex") }`, `{"c":"c1"}`)
	f.Add(`${! (this.c | "") + "/" + this."a b".or(@m).index(0).number(1) }`, `{"c":null}`)
	f.Add(`${! [this.a.get("b"), {"x":-id}.x].map_each(this).join("""/""") }`, `{"a":{"b":"1"},"id":2}`)
	f.Fuzz(func(t *testing.T, template, message string) {
		if !isSteady(template) || len(template) > 200 || !utf8.ValidString(template) {
			return
		}
		checkKeys(t, template, message)
	})
}
