package plugin

import (
	"encoding/json"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// A number that lost digits makes one key of many leads. Either it lost them before it
// came here, which its notation shows, or the template loses them.

// scientific is a number as spreadsheets and programs write one that they rounded: a
// whole part of a key, since "room 3E+4" is a name.
var scientific = regexp.MustCompile(`(?:^|[/|:;,])\s*([+-]?\d(?:\.\d+)?([eE])\+\d+)\s*(?:[/|:;,]|$)`)

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
