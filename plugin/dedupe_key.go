package plugin

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/redpanda-data/benthos/v4/public/service"
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
	steady bool
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
	parts []*service.MessageBatchInterpolationExecutor
}

func (k *dedupeKey) of(batch service.MessageBatch) *batchKeys {
	b := &batchKeys{dedupeKey: k, batch: batch, exec: batch.InterpolationExecutor(k.whole)}
	for _, part := range k.parts {
		exec := b.exec
		if part.text != k.whole {
			exec = batch.InterpolationExecutor(part.text)
		}
		b.parts = append(b.parts, exec)
	}
	return b
}

// key computes the key of a message. Its errors repeat the template, never a value.
func (b *batchKeys) key(i int) (string, error) {
	text, err := b.exec.TryString(i)
	if err != nil {
		return "", badInput(reasonDedupeKey, "dedupe_key: %s", withoutValues(err))
	}
	key := strings.TrimSpace(text)
	if key == "" || key == "null" {
		return "", badInput(reasonDedupeKey, "dedupe_key: is empty for this message; give every lead an id")
	}
	values := make([]string, len(b.parts))
	for j, part := range b.dedupeKey.parts {
		switch {
		case part.text == b.whole:
			values[j] = text
		case part.steady:
			if values[j], err = b.parts[j].TryString(i); err != nil {
				return "", badInput(reasonDedupeKey, "dedupe_key: %s", withoutValues(err))
			}
		default:
			continue
		}
		if isMissing(values[j]) && !isWhole(values[j], b.batch[i]) {
			return "", badInput(reasonDedupeKey, "dedupe_key: %s is missing or empty in this message; a key needs all of its parts", part.shown())
		}
	}
	if j := b.inexact(i, values); j >= 0 {
		part := b.dedupeKey.parts[j]
		return "", badInput(reasonDedupeKey, "dedupe_key: %s rounds a number of this message, and another lead's may round to the same; write %s, which keeps each digit, or have ids written as text", part.shown(), part.exactly())
	}
	for j, value := range values {
		if isRounded(value) && !isWhole(value, b.batch[i]) {
			return "", badInput(reasonDedupeKey, "dedupe_key: %s is a number that was rounded before it came here, and another lead's may round to the same; have ids written as text", b.dedupeKey.parts[j].shown())
		}
	}
	return key, nil
}

// shown is the expression for an error.
func (p keyPart) shown() string {
	if len(p.source) > 80 {
		return "an expression"
	}
	return strings.Join(strings.Fields(p.source), " ")
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

// missing are the words that programs and spreadsheets write where there is nothing.
var missing = map[string]bool{
	"": true, "null": true, "none": true, "nil": true, "nan": true, "nat": true, "undefined": true,
	"n/a": true, "#n/a": true, "#null!": true, "#value!": true, "#ref!": true, "#name?": true, "#div/0!": true, "#num!": true,
}

// Such a word in a text that was joined before it came here: anywhere for those that
// only programs write, and between separators for those that may be part of a name.
var (
	missingWord = regexp.MustCompile(`(?:^|[^\pL\pN])(?:null|undefined|NaN|<nil>)(?:[^\pL\pN]|$)`)
	missingPart = regexp.MustCompile(`(?i)(?:^|[/|:;,])\s*(?:null|none|nil|nan|nat|undefined|<na>|#?n/a)\s*(?:[/|:;,]|$)`)
)

// isMissing says that a part of a key stands for nothing.
func isMissing(text string) bool {
	bare := strings.TrimFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.In(r, unicode.Cc, unicode.Cf) || strings.ContainsRune(`"'<>()[]{}`, r)
	})
	if missing[strings.ToLower(bare)] {
		return true
	}
	// Each of the words has an n: most keys need no closer look.
	return strings.ContainsAny(text, "nN") && (missingWord.MatchString(text) || missingPart.MatchString(text))
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

// scientific is a number as spreadsheets and programs write one that they rounded.
var scientific = regexp.MustCompile(`(?:^|[\s/|:;,_])([+-]?\d(?:\.\d+)?([eE])\+\d+)(?:[\s/|:;,_]|$)`)

const maxExact = 1 << 53 // beyond it floats skip whole numbers

// isRounded says that a number lost digits before it came here. Spreadsheets write a
// capital E and few digits; a float of at most maxExact is exact in any notation.
func isRounded(text string) bool {
	if !strings.Contains(text, "+") {
		return false
	}
	for _, m := range scientific.FindAllStringSubmatch(text, -1) {
		f, err := strconv.ParseFloat(m[1], 64)
		if m[2] == "E" || err != nil || f >= maxExact || f <= -maxExact {
			return true
		}
	}
	return false
}

// inexact finds the part, or none (-1), that rounds a number of message i: json("id")
// takes 1.0 for 1, and 20 digits for the nearest float. It shows when the same
// expression is asked about the message with its numbers written in another way,
// which an exact expression shows and a rounding one does not; and with the next
// numbers, which an expression that does not name them, but at most their size, does
// not show.
func (b *batchKeys) inexact(i int, values []string) int {
	content, err := b.batch[i].AsStructured()
	if err != nil {
		return -1
	}
	changed, found := rewriteNumbers(content, nextNumber)
	if !found {
		return -1
	}
	next := b.with(i, changed)
	var same service.MessageBatch
	for j, part := range b.dedupeKey.parts {
		if !part.steady {
			continue
		}
		if text, err := next.TryInterpolatedString(i, part.text); err != nil || text == values[j] {
			continue // int64() fails for what is not whole: it takes 1.0 for 1 because it was asked to
		}
		if same == nil {
			rewritten, _ := rewriteNumbers(content, sameNumber)
			same = b.with(i, rewritten)
		}
		if text, err := same.TryInterpolatedString(i, part.text); err == nil && text == values[j] {
			return j
		}
	}
	return -1
}

// with is the batch with other content in one message.
func (b *batchKeys) with(i int, content any) service.MessageBatch {
	batch := slices.Clone(b.batch)
	batch[i] = b.batch[i].Copy()
	batch[i].SetStructured(content)
	return batch
}

// rewriteNumbers copies a value with its numbers that Bloblang rounds rewritten, and
// says whether there are any. What holds none is shared with the copy.
func rewriteNumbers(v any, rewrite func(string) string) (any, bool) {
	switch v := v.(type) {
	case json.Number:
		if !roundedByBloblang(v) {
			return v, false
		}
		return json.Number(rewrite(v.String())), true
	case map[string]any:
		var copied map[string]any
		for name, member := range v {
			rewritten, found := rewriteNumbers(member, rewrite)
			if !found {
				continue
			}
			if copied == nil {
				copied = maps.Clone(v)
			}
			copied[name] = rewritten
		}
		if copied != nil {
			return copied, true
		}
	case []any:
		var copied []any
		for i, item := range v {
			rewritten, found := rewriteNumbers(item, rewrite)
			if !found {
				continue
			}
			if copied == nil {
				copied = slices.Clone(v)
			}
			copied[i] = rewritten
		}
		if copied != nil {
			return copied, true
		}
	}
	return v, false
}

// roundedByBloblang says that a number which Bloblang takes for an int64, or else for
// a float, is then no longer written as it was.
func roundedByBloblang(n json.Number) bool {
	if i, err := n.Int64(); err == nil {
		return strconv.FormatInt(i, 10) != n.String()
	}
	f, err := n.Float64()
	return err != nil || strconv.FormatFloat(f, 'g', -1, 64) != n.String()
}

// sameNumber writes a number in another way.
func sameNumber(n string) string {
	mantissa, exponent := n, ""
	if e := strings.IndexAny(n, "eE"); e >= 0 {
		mantissa, exponent = n[:e], n[e:]
	}
	switch {
	case n == "-0": // is the int64 0
		return "0"
	case strings.Contains(mantissa, "."):
		return mantissa + "0" + exponent
	default:
		return mantissa + ".0" + exponent
	}
}

// nextNumber is the float after a number: near enough to give the same floor, date or
// answer to a comparison, and another one to whatever shows the number.
func nextNumber(n string) string {
	f, err := strconv.ParseFloat(n, 64)
	if err != nil { // beyond floats
		return n + "1"
	}
	return strconv.FormatFloat(math.Nextafter(f, math.Inf(1)), 'g', -1, 64)
}
