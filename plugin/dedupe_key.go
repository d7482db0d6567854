package plugin

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// dedupeKey computes the keys of messages, and refuses those that do not name one
// lead: a missing part, or a rounded number, would make one call of many leads.
//
// What it computes is the interpolation of the whole template, trimmed, and nothing
// else. The ledgers of earlier versions rely on that: a message has the key that it
// always had, or none. The parts are interpolated only to be judged.
type dedupeKey struct {
	whole *service.InterpolatedString
	parts []keyPart
}

// keyPart is one expression of the template.
type keyPart struct {
	source string // ${! json("id") }
	text   *service.InterpolatedString
	// steady says that the part gives the same each time, and that asking it changes nothing.
	steady  bool
	lookups []keyLookup
	alone   bool // it is one look-up and nothing else
	other   bool // it may say more than its look-ups
}

// called finds the functions that an expression calls. Methods change nothing.
var called = regexp.MustCompile(`(?:^|[^.\w])([a-z_]\w*)\(`)

// pure are the functions that give the same each time. Any other may not: asking
// count, or a function of the host's, again would change the keys of later messages.
var pure = map[string]bool{
	"json": true, "content": true, "meta": true, "metadata": true, "root_meta": true, "var": true, "deleted": true, "nothing": true,
	"batch_index": true, "batch_size": true, "error": true, "errored": true, "env": true, "hostname": true, "range": true, "throw": true,
	"if": true, "match": true,
}

func isSteady(expression string) bool {
	for _, call := range called.FindAllStringSubmatch(expression, -1) {
		if !pure[call[1]] {
			return false
		}
	}
	return true
}

func newDedupeKey(template string, whole *service.InterpolatedString) *dedupeKey {
	k := &dedupeKey{whole: whole}
	for _, source := range expressions(template) {
		part := keyPart{source: source, text: whole, steady: isSteady(source)}
		part.lookups, part.other = lookupsOf(source)
		part.alone = len(part.lookups) == 1 && !part.lookups[0].optional && body(source) == part.lookups[0].source
		if source != template {
			text, err := service.NewInterpolatedString(source)
			if err != nil {
				continue // expressions gives only what can be parsed
			}
			part.text = text
		}
		k.parts = append(k.parts, part)
	}
	return k
}

// expressions finds the ${! … } of an interpolated string. One ends at the first
// brace with which it can be parsed: a brace inside a text or an object comes too
// early, and leaves it open. A template that cannot be taken apart, as one with
// functions that only the host's environment knows, is one expression.
func expressions(template string) (found []string) {
	rest := template
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, "${{!"): // escaped
			end := strings.Index(rest, "}}")
			if end < 0 {
				return []string{template}
			}
			rest = rest[end+2:]
		case strings.HasPrefix(rest, "${!"):
			end := expressionEnd(rest)
			if end < 0 {
				return []string{template}
			}
			found = append(found, rest[:end])
			rest = rest[end:]
		default:
			rest = rest[1:]
		}
	}
	return found
}

func expressionEnd(s string) int {
	for i := range len(s) {
		if s[i] != '}' {
			continue
		}
		if _, err := service.NewInterpolatedString(s[:i+1]); err == nil {
			return i + 1
		}
	}
	return -1
}

// batchKeys is a dedupeKey at work on a batch.
type batchKeys struct {
	*dedupeKey
	batch service.MessageBatch
	exec  *service.MessageBatchInterpolationExecutor
	parts []partExecutor
}

type partExecutor struct {
	text    *service.MessageBatchInterpolationExecutor
	lookups []*service.MessageBatchInterpolationExecutor
}

func (k *dedupeKey) of(batch service.MessageBatch) *batchKeys {
	b := &batchKeys{dedupeKey: k, batch: batch, exec: batch.InterpolationExecutor(k.whole)}
	for _, part := range k.parts {
		exec := partExecutor{text: b.exec}
		if part.text != k.whole {
			exec.text = batch.InterpolationExecutor(part.text)
		}
		for _, l := range part.lookups {
			exec.lookups = append(exec.lookups, batch.InterpolationExecutor(l.text))
		}
		b.parts = append(b.parts, exec)
	}
	return b
}

// key computes the key of a message. Its errors repeat the template and words that
// stand for nothing, never a value.
func (b *batchKeys) key(i int) (string, error) {
	text, err := b.exec.TryString(i)
	if err != nil {
		return "", badKey("%s", withoutValues(err))
	}
	key := strings.TrimSpace(text)
	if key == "" {
		return "", badKey("is empty for this message; give every lead an id")
	}
	if onlySeparators(key) {
		return "", badKey("is nothing but separators for this message; give every lead an id")
	}
	values := make([]string, len(b.parts))
	for j, part := range b.dedupeKey.parts {
		switch {
		case part.text == b.whole:
			values[j] = text
		case part.steady:
			if values[j], err = b.parts[j].text.TryString(i); err != nil {
				return "", badKey("%s", withoutValues(err))
			}
		}
	}
	if err := b.judge(i, key, values); err != nil {
		return "", err
	}
	return key, nil
}

// judge refuses a key that does not name one lead.
func (b *batchKeys) judge(i int, key string, values []string) error {
	judged, defaulted, err := b.lookUp(i, key, values)
	if err != nil {
		return err
	}
	for j, part := range b.dedupeKey.parts {
		if part.text != b.whole && !part.steady {
			continue
		}
		// With a default a part is as its author wants it, unless the default did not
		// apply, as in this.id.string() | "".
		if !defaulted[j] || missingWordIn(values[j]) == "null" {
			judged = append(judged, keyValue{part.shown(), values[j], missingWordIn})
		}
	}
	for _, value := range judged {
		if err := value.missing(); err != nil && !isWhole(value.text, b.batch[i]) {
			return err
		}
	}
	if key == "null" {
		return badKey("is null for this message; give every lead an id")
	}
	if j := b.inexact(i, values); j >= 0 {
		part := b.dedupeKey.parts[j]
		return badKey("%s rounds a number of this message, and another lead's may round to the same; write %s, which keeps each digit, or have ids written as text", part.shown(), part.exactly())
	}
	for _, value := range judged {
		if isRounded(value.text) && !isWhole(value.text, b.batch[i]) {
			return badKey("%s looks like a number that was rounded before it came here, and another lead's may round to the same; have ids written as text", value.shown)
		}
	}
	return nil
}

func badKey(format string, args ...any) error {
	return badInput(words.DedupeKeyFailed, "dedupe_key: "+format, args...)
}

// keyValue is a part of a key, or a look-up of one, in a message.
type keyValue struct {
	shown, text string
	wordOf      func(string) string // the word with which it stands for nothing
}

func (v keyValue) missing() error {
	if unwrapped(v.text) == "" {
		return badKey("%s is missing or empty in this message; a key needs all of its parts", v.shown)
	}
	if word := v.wordOf(v.text); word != "" {
		return badKey("%s holds the word %s, which programs write for a missing value; a key needs all of its parts", v.shown, word)
	}
	return nil
}

// lookUp gives the look-ups that a message has or must have, and the parts that use a
// default. That is what their author asked for, unless it leaves nothing to name the
// lead: where each look-up has a default, a key without any of them, or with an open
// end, is that of many leads.
func (b *batchKeys) lookUp(i int, key string, values []string) (found []keyValue, defaulted []bool, err error) {
	defaulted = make([]bool, len(b.parts))
	needed, absent := false, ""
	for j, part := range b.dedupeKey.parts {
		needed = needed || part.other
		for n, l := range part.lookups {
			if part.alone && values[j] != "null" {
				needed = true
				continue // the part itself is judged
			}
			text, err := b.parts[j].lookups[n].TryString(i)
			if err != nil {
				return nil, nil, badKey("%s", withoutValues(err))
			}
			switch {
			case l.optional && unwrapped(text) == "":
				absent, defaulted[j] = shorten(l.source), true
				continue
			case !l.optional:
				needed = true
			}
			shown := shorten(l.source)
			if part.alone {
				shown = part.shown()
			}
			found = append(found, keyValue{shown, text, missingWord})
		}
	}
	if !needed && absent != "" && (len(found) == 0 || hasOpenEnd(key)) {
		return nil, nil, badKey("%s is missing or empty in this message, and each other part of the key has a default or is missing, too: nothing names this lead", absent)
	}
	return found, defaulted, nil
}

// shown is the expression for an error.
func (p keyPart) shown() string { return shorten(p.source) }

func shorten(source string) string {
	if len(source) > 80 {
		return "an expression"
	}
	return strings.Join(strings.Fields(source), " ")
}

// simplePath is the lookup that can be written exactly without thinking.
var simplePath = regexp.MustCompile(`^\$\{!\s*json\("([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"\)\s*\}$`)

// exactly is how to write the expression so that it keeps numbers as they are.
func (p keyPart) exactly() string {
	if m := simplePath.FindStringSubmatch(p.source); m != nil {
		return "${! this." + m[1] + " }"
	}
	return "${! this.id } in place of json(\"id\")"
}

// isWhole says that a part is the whole message, as `content()` is: what is missing
// in it is not missing in the key.
func isWhole(text string, msg *service.Message) bool {
	content, err := msg.AsStructured()
	if err != nil || content == nil {
		return false
	}
	part, err := structured(json.RawMessage(text))
	return err == nil && reflect.DeepEqual(part, content)
}
