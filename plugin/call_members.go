package plugin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"golang.org/x/text/unicode/norm"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

const ( // cm: call members
	cmFieldCallMapping  = "call_mapping"
	cmFieldNumberID     = "number_id"
	cmFieldUseCaseID    = "use_case_id"
	cmFieldAgentID      = "agent_id"
	cmFieldExtraMembers = "extra_members"
	cmFieldMaxCallMins  = "max_call_mins"
	cmFieldMaxBytes     = "max_call_bytes"
)

// defaultMaxCallBytes is far more than a prompt's variables need, and little enough for a
// page of the list of calls to stay within what is read of a reply.
const defaultMaxCallBytes = 32 << 10

// With number_id as a field, whoever writes to the topic chooses what may differ
// from lead to lead, and nothing else.
const (
	mappingOfAll   = `root = this`
	mappingOfLeads = `root = this.filter(member -> ["phone_number", "params", "metadata", "language"].contains(member.key))`
)

// callExample is an example with each field that bounds what a message may ask for.
const callExample = `
output:
  happyrobot_dial:
    api_key_file: /run/secrets/happyrobot
    ledger: ledger
    dedupe_key: ${! this.campaign }/${! this.id }
    max_rejects_in_a_row: 100
    number_id: "${HAPPYROBOT_NUMBER_ID}"
    use_case_id: "${HAPPYROBOT_USE_CASE_ID:}"
    agent_id: "${HAPPYROBOT_AGENT_ID:}"
    max_call_mins: 15
    extra_members: [ transfer_to ]
    dial_errored: false
    call_mapping: |
      root.phone_number = this.phone
      root.language = this.language
      root.params.customer_name = this.name
      root.max_duration_mins = this.minutes
      root.transfer_to = env("SUPPORT_NUMBER")
    failures:
      file: { path: ./failed.jsonl }

cache_resources:
  - label: ledger
    bbolt:
      path: ./ledger.db
`

// callFields say which call a message asks for.
func callFields() []*service.ConfigField {
	id := func(name, names string) *service.ConfigField {
		return service.NewStringField(name).
			Description(fmt.Sprintf("The id of %s, 24 characters, for every call. A message for which `call_mapping` gives another is rejected. If the field is empty, `call_mapping` decides.", names)).
			Default("").
			LintRule(fmt.Sprintf("root = if this != \"\" && !this.re_match(%q) { [ \"`%s` must be an id of exactly 24 characters, without blanks and without / \\\\ %% ? # and commas, or empty\" ] }", happyrobot.IDPattern, name))
	}
	return []*service.ConfigField{
		service.NewBloblangField(cmFieldCallMapping).
			Description("Maps a message to a call request: an object with `phone_number`, with `number_id` unless that is set as a field, and with any of the members below. `metadata.dial_ref` is set by this component. With an empty mapping, the members `phone_number`, `params`, `metadata` and `language` of the message are sent where `number_id` is set as a field, and all of its members (`" + mappingOfAll + "`) where it is not.").
			Default("").
			Example(`root.phone_number = this.phone
root.params.customer_name = this.name
root.metadata.lead_id = this.id`),
		id(cmFieldNumberID, "the number that calls"),
		id(cmFieldUseCaseID, "the use case that handles the calls"),
		id(cmFieldAgentID, "the agent that handles the calls"),
		service.NewStringListField(cmFieldExtraMembers).
			Description("Names of members, beyond the documented ones below, that may be sent. `\"*\"` allows any. A message with any other member is rejected.").
			Default([]any{}).
			Example([]any{"webhook"}).
			Example([]any{"*"}).
			LintRule("root = if this.type() == \"string\" && this.trim() == \"\" { [ \"`extra_members` must not hold an empty name\" ] }"),
		service.NewIntField(cmFieldMaxCallMins).
			Description("The longest call that a message may ask for, in minutes: one with a longer `max_duration_mins` is rejected. A message that asks for no length is not limited. `0` means no limit.").
			Default(0).
			LintRule("root = if this < 0 { [ \"`max_call_mins` must be at least 1, or 0 for no limit\" ] }"),
		service.NewIntField(cmFieldMaxBytes).
			Description("The largest call that is sent, in bytes of its JSON, without the reference that this component adds. A larger one is rejected with the reason `too_large`. The API shows each call again where calls of unknown outcome are looked up, so large ones make that slow.").
			Default(defaultMaxCallBytes).
			LintRule("root = if this < 1 { [ \"`max_call_bytes` must be at least 1\" ] }"),
	}
}

// memberRules are what the config says of the members of a call.
type memberRules struct {
	fixed    []fixedMember
	extra    map[string]bool
	anyExtra bool
	maxMins  int // 0 for any
	warn     memberWarnings
}

// fixedMember is a member that the config sets for every call.
type fixedMember struct {
	name, value string
	of          func(*happyrobot.OutboundCall) *string
}

func (r *memberRules) fromParsed(conf *service.ParsedConfig, log *service.Logger) error {
	r.warn.log = log
	for _, m := range []fixedMember{
		{name: cmFieldNumberID, of: func(c *happyrobot.OutboundCall) *string { return &c.NumberID }},
		{name: cmFieldUseCaseID, of: func(c *happyrobot.OutboundCall) *string { return &c.UseCaseID }},
		{name: cmFieldAgentID, of: func(c *happyrobot.OutboundCall) *string { return &c.AgentID }},
	} {
		var err error
		if m.value, err = conf.FieldString(m.name); err != nil {
			return err
		}
		if m.value == "" {
			continue
		}
		if err := happyrobot.ValidateID(m.value); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		r.fixed = append(r.fixed, m)
	}
	names, err := conf.FieldStringList(cmFieldExtraMembers)
	if err != nil {
		return err
	}
	r.extra = map[string]bool{}
	for _, name := range names {
		if strings.TrimSpace(name) == "" {
			return fmt.Errorf("%s: must not hold an empty name", cmFieldExtraMembers)
		}
		r.extra[name] = true
	}
	r.anyExtra = r.extra["*"]
	if r.maxMins, err = conf.FieldInt(cmFieldMaxCallMins); err != nil {
		return err
	}
	if r.maxMins < 0 {
		return fmt.Errorf("%s: must be at least 1, or 0 for no limit", cmFieldMaxCallMins)
	}
	return nil
}

// callMapping is the mapping that the config sets, or the default for its fields.
func (r *memberRules) callMapping(conf *service.ParsedConfig) (*bloblang.Executor, error) {
	text, err := conf.FieldString(cmFieldCallMapping)
	if err != nil {
		return nil, err
	}
	if text != "" {
		return conf.FieldBloblang(cmFieldCallMapping)
	}
	text = mappingOfAll
	if slices.ContainsFunc(r.fixed, func(m fixedMember) bool { return m.name == cmFieldNumberID }) {
		text = mappingOfLeads
	}
	return bloblang.Parse(text)
}

// apply puts the members that the config sets into a request, and refuses what the
// config does not allow.
func (r *memberRules) apply(c *happyrobot.OutboundCall) error {
	for _, m := range r.fixed {
		switch given := m.of(c); *given {
		case "", m.value:
			*given = m.value
		default:
			return badInput(words.InvalidField, "%s: call_mapping gives a value that differs from the field %s; set it in one place only", m.name, m.name)
		}
	}
	if err := r.allow(c.Extra); err != nil {
		return err
	}
	if r.maxMins > 0 && c.MaxDurationMins != nil && *c.MaxDurationMins > r.maxMins {
		return badInput(words.InvalidField, "max_duration_mins: is longer than %s, which is %d", cmFieldMaxCallMins, r.maxMins)
	}
	return nil
}

// allow judges the members that OutboundCall has no place for.
func (r *memberRules) allow(extra map[string]any) error {
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(extra)) {
		if documented[name].Deprecated {
			r.warn.deprecated(name)
		} else if respelled(name) || !r.anyExtra && !r.extra[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	others := ""
	if more := len(unknown) - 1; more > 0 {
		others = fmt.Sprintf(" (and %d more)", more)
	}
	hint := ""
	if near := nearestMember(unknown[0]); near != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	}
	if respelled(unknown[0]) && (r.anyExtra || r.extra[unknown[0]]) {
		return badInput(words.UnknownMember, "%s%s: is a documented member in another spelling%s", printableName(unknown[0]), others, hint)
	}
	return badInput(words.UnknownMember, "%s%s: is not a documented member of a call%s; %s can allow it",
		printableName(unknown[0]), others, hint, cmFieldExtraMembers)
}

// respelled says whether a name is a documented member's in another spelling, such as
// Phone_Number. An API that does not mind the case would take it for that member, so
// extra_members cannot allow it: it would get round the fields and checks of the config.
func respelled(name string) bool { return documentedFolded[foldedName(name)] }

var documentedFolded = func() map[string]bool {
	folded := map[string]bool{}
	for name := range documented {
		folded[foldedName(name)] = true
	}
	return folded
}()

// foldedName keeps the letters and digits of a name, in one case and one width.
func foldedName(name string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(name))
}

// warnOfValues warns of words that the API may not know. Its enums are open, so the
// call is sent; but an API that refuses the word says so late, and for a whole batch.
func (r *memberRules) warnOfValues(c *happyrobot.OutboundCall) {
	if c.Language != "" && !slices.Contains(documented["language"].Values, c.Language) {
		r.warn.value("language", c.Language)
	}
}

// checkDate reads the time a call is scheduled for. Years of more or fewer than four
// digits are no RFC 3339, and one before 2000 is an empty or an epoch column.
func checkDate(text string) (string, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "", errors.New("must be a date and time with a zone, such as 2026-03-10T15:30:00Z")
	}
	at = at.UTC()
	if at.Year() < 2000 || at.Year() > 9999 {
		return "", errors.New("must be in the years 2000 to 9999, in UTC")
	}
	return at.Format(time.RFC3339), nil
}
