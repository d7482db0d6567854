package plugin

import (
	"fmt"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLookupsOfAnExpression(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]string{
		`this.id`:                           "this.id",
		`this`:                              "other",
		`this.a.b.string().uppercase()`:     "this.a.b",
		`this."a b".c`:                      `this."a b".c`,
		`json("a.b").c`:                     `json("a.b").c`,
		`json().a`:                          `json().a`,
		`json()`:                            "other",
		`json(this.path)`:                   "other", // and what it names is not known
		`content().parse_json().a.b.trim()`: `content().parse_json().a.b`,
		`this.get("a b")`:                   `this.get("a b")`,
		`json("run").from(0)`:               `json("run").from(0)`,
		`this.ids.index(0).string()`:        `this.ids.index(0)`,
		`@lead`:                             `@lead`, `@"lead id"`: `@"lead id"`, `@`: "other", `meta("x")`: `meta("x")`, `metadata("x").string()`: `metadata("x")`,
		`id`: "id", `id.a`: "id.a",
		`"this.id"`: "", `"""this."id" """`: "", `"\"" + this.id`: "this.id", `5.string()`: "", `1.5 + this.n`: "this.n", `-this.n`: "this.n", `null`: "",
		`(json("c") + "/" + json("id").string()).hash("sha256").encode("hex")`:     `json("c"), json("id")`,
		`"%v/%v".format(this.c, this.id)`:                                          "this.c, this.id",
		`[this.c, @m].join("/")`:                                                   "this.c, @m",
		`{"a":this.id}.a`:                                                          "this.id",
		`this.c.or("")`:                                                            "this.c?",
		`(this.campaign | "") + "/" + this.id`:                                     "this.campaign?, this.id",
		`this.campaign | "" + "/" + this.id`:                                       "this.campaign?, this.id",
		`this.email | this.phone`:                                                  "this.email | this.phone",
		`this.email | this.phone | ""`:                                             "this.email?, this.phone?",
		`this.email.or(this.phone).lowercase()`:                                    "this.email | this.phone",
		`this.email.or(this.phone.or(""))`:                                         "this.email?, this.phone?",
		`this.a.or(fallback: "") + this.at.ts_format(format: "2006", tz: this.tz)`: "this.a?, this.at",
		`(this.a + this.b).catch("x")`:                                             "this.a?, this.b?",
		`this.n.number(0).string() + this.m.number()`:                              "this.n?, this.m",
		`this.id | uuid_v4()`:                                                      "this.id?, other",
		`this.tags.map_each(this.name).join(@sep)`:                                 "this.tags, @sep",
		`this.tags.length()`:                                                       "other",
		`hostname() + "/" + this.id`:                                               "this.id",
		`of_the_host(this.id)`:                                                     "this.id, other",
		`if this.a == null { "" } else { this.a }`:                                 "other",
		`match this { this.id == null => "}", _ => this.id }`:                      "other",
		`this.tags.filter(t -> t != null).index(0)`:                                "other",
		`this.a.(this.b | this.c)`:                                                 "other",
		`(this.vip == true).string() + this.id`:                                    "other",
		`!this.a`:                                                                  "other",
		`$a`:                                                                       "other",
	} {
		lookups, other := lookupsOf(`${! ` + expression + ` }`)
		got := ""
		add := func(text string) {
			if got != "" {
				got += ", "
			}
			got += text
		}
		for _, l := range lookups {
			if add(l.source); l.optional {
				got += "?"
			}
		}
		if other {
			add("other")
		}
		assert.Equal(t, want, got, expression)
	}
}

// What an expression makes of its look-ups does not hide that one is missing.
func TestAKeyNeedsEachOfItsLookups(t *testing.T) {
	t.Parallel()
	const missing, word, nothing = " is missing or empty in this message; ", " holds the word ", ": nothing names this lead"
	const key = ""
	for template, rows := range map[string][][2]string{
		`${! (json("c") + "/" + json("id").string()).hash("sha256").encode("hex") }`: {
			{`{"c":"c1","id":null}`, `json("id")` + missing}, {`{"c":"c1"}`, `json("id")` + missing}, {`{"c":"c1","id":""}`, `json("id")` + missing},
			{`{"c":"c1","id":"None"}`, `json("id")` + word + "None"}, {`{"c":"c1","id":7}`, key}, {`{"c":"c1","id":"dev-null"}`, key},
		},
		`${! this.id.string().hash("xxhash64") }`: {
			{`{"id":null}`, "this.id" + missing}, {`{}`, "this.id" + missing}, {`{"id":1e400}`, key}, {`{"id":"NaN"}`, "this.id" + word + "NaN"}, {`{"id":0}`, key}, {`{"id":false}`, key},
		},
		`${! this.c.or("") + "/" + this.id.or("") }`: {
			{`{"c":"c1","id":null}`, nothing}, {`{"c":"c1","id":""}`, nothing}, {`{"c":"c1"}`, nothing}, {`{"c":"","id":"2"}`, nothing}, {`{}`, "is nothing but separators"}, {`{"c":"c1","id":"2"}`, key},
		},
		`${! this.c + "/" + this.id.string() }`:    {{`{"c":"","id":2}`, "this.c" + missing}, {`{"c":"c1","id":" "}`, "this.id" + missing}, {`{"c":"c1","id":2}`, key}},
		`${! "%v/%v".format(this.c, this.id) }`:    {{`{"c":"","id":2}`, "this.c" + missing}, {`{"c":"c1"}`, "this.id" + missing}, {`{"c":"c1","id":2}`, key}},
		`${! [this.c, this.id].join("-") }`:        {{`{"c":"","id":"2"}`, "this.c" + missing}, {`{"c":"c1","id":"2"}`, key}},
		`${! "lead " + @id.string() }`:             {{`{}`, `@id` + missing}},
		`${! this.lead.format_json().string() }`:   {{`{}`, "this.lead" + missing}, {`{"lead":{}}`, "this.lead" + missing}},
		`${! content().parse_json().id.string() }`: {{`{}`, "content().parse_json().id" + missing}, {`{"id":1}`, key}},

		// What is missing in an object is not missing in a digest of it.
		`${! this.lead.format_json().hash("sha1").encode("hex") }`: {{`{"lead":{"id":7,"note":null}}`, key}, {`{"lead":[null]}`, "this.lead" + word + "null"}},

		// The user's own words excuse a look-up, and it alone.
		`${! (this.campaign | "") + "/" + this.id }`: {
			{`{"id":"2"}`, key}, {`{"campaign":null,"id":"2"}`, key}, {`{"campaign":"","id":"2"}`, key}, {`{"campaign":"c1","id":"2"}`, key},
			{`{"campaign":"c1","id":""}`, "this.id" + missing}, {`{"campaign":"null","id":"2"}`, "this.campaign" + word + "null"}, {`{"id":"None"}`, "this.id" + word + "None"},
		},
		`${! this.campaign | "" }/${! this.id }`:                            {{`{"id":"2"}`, key}, {`{"campaign":"c1"}`, "${! this.id }" + missing}},
		`${! this.campaign.or("none") }/${! this.id }`:                      {{`{"id":"2"}`, key}, {`{"campaign":"none","id":"2"}`, word + "none"}},
		`${! (this.campaign.or("") + this.id).hash("sha1").encode("hex") }`: {{`{"id":"2"}`, key}, {`{"campaign":"2"}`, "dedupe_key: "}},
		`${! this.attempt.number(1) }/${! this.id }`:                        {{`{"id":"2"}`, key}, {`{"attempt":2}`, "${! this.id }" + missing}},
		`${! (this.email | this.phone).string().hash("xxhash64") }`:         {{`{"email":"a@b.example"}`, key}, {`{"phone":"+1"}`, key}, {`{}`, "this.email | this.phone" + missing}},
		`${! (this.c.string() | "") + "/" + this.id }`:                      {{`{"id":"2"}`, word + "null"}, {`{"c":1,"id":"2"}`, key}},
		`${! this.id | "x" }`:                                               {{`{"id":7}`, key}, {`{}`, nothing}},
		`${! this.id.or(content().hash("xxhash64")) }`:                      {{`{}`, key}, {`{"id":7}`, key}},
		`${! this.id | content().string() }`:                                {{`{"note":null}`, key}, {`{"id":"None"}`, word + "None"}},
		`${! (this.first | "") + " " + (this.last | "") }`:                  {{`{"last":"Cher"}`, key}, {`{}`, "is empty for this message"}},
		`${! (this.path | "") + (this.id | "") }`:                           {{`{"path":"/leads/","id":"7"}`, key}},

		// Conditions are the user's words, too. What they leave out stays undetected.
		`${! if this.c == null { "" } else { this.c + "/" } + this.id }`: {{`{"id":"2"}`, key}},
		// Numbers that were rounded do not hide, either.
		`${! ("lead " + this.id.string()).hash("sha1").encode("hex") }`: {{`{"id":"1.23457E+11"}`, "this.id looks like a number that was rounded"}, {`{"id":"room 3E+4"}`, key}},
	} {
		for _, row := range rows {
			what := fmt.Sprintf("%s of %s", template, row[0])
			got, err := keyNow(template, service.NewMessage([]byte(row[0])))
			if row[1] != key {
				require.ErrorContains(t, err, row[1], what)
				continue
			}
			before, errBefore := keyBefore(template, service.NewMessage([]byte(row[0])))
			assert.NoError(t, errBefore, what)
			assert.NoError(t, err, what)
			assert.Equal(t, before, got, what)
		}
	}
}
