package phone

import (
	"math/rand/v2"
	"regexp/syntax"
	"strconv"
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/stretchr/testify/require"
)

// numbersOf draws valid numbers of a region from the library's patterns.
type numbersOf struct {
	meta     *phonenumbers.PhoneMetadata
	patterns []*syntax.Regexp
	random   *rand.Rand
}

// geographic is the metadata of every region, without the codes of no country.
func geographic(t testing.TB) map[string]*phonenumbers.PhoneMetadata {
	t.Helper()
	all, err := phonenumbers.MetadataCollection()
	require.NoError(t, err)
	regions := map[string]*phonenumbers.PhoneMetadata{}
	for _, meta := range all.GetMetadata() {
		if meta.GetId() != worldRegion {
			regions[meta.GetId()] = meta
		}
	}
	require.Greater(t, len(regions), 240)
	return regions
}

func drawFrom(t testing.TB, meta *phonenumbers.PhoneMetadata, seed uint64) *numbersOf {
	t.Helper()
	d := &numbersOf{meta: meta, random: rand.New(rand.NewPCG(seed, 8))}
	for _, desc := range []*phonenumbers.PhoneNumberDesc{meta.GetFixedLine(), meta.GetMobile(), meta.GetTollFree(), meta.GetVoip()} {
		if pattern := desc.GetNationalNumberPattern(); pattern != "" && pattern != "NA" {
			parsed, err := syntax.Parse(pattern, syntax.Perl)
			require.NoError(t, err)
			d.patterns = append(d.patterns, parsed)
		}
	}
	return d
}

// draw gives a number that is valid in the region.
func (d *numbersOf) draw() *phonenumbers.PhoneNumber {
	code := strconv.Itoa(int(d.meta.GetCountryCode()))
	for {
		var national strings.Builder
		d.write(&national, d.patterns[d.random.IntN(len(d.patterns))])
		n, err := phonenumbers.Parse("+"+code+national.String(), "")
		if err == nil && phonenumbers.GetNationalSignificantNumber(n) == national.String() && phonenumbers.IsValidNumberForRegion(n, d.meta.GetId()) {
			return n
		}
	}
}

// write writes a text that the pattern matches.
func (d *numbersOf) write(b *strings.Builder, re *syntax.Regexp) {
	repeat := func(least, most int) {
		for range least + d.random.IntN(most-least+1) {
			d.write(b, re.Sub[0])
		}
	}
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		which := d.random.IntN(len(re.Rune) / 2)
		b.WriteRune(re.Rune[2*which] + rune(d.random.IntN(int(re.Rune[2*which+1]-re.Rune[2*which])+1)))
	case syntax.OpCapture:
		d.write(b, re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			d.write(b, sub)
		}
	case syntax.OpAlternate:
		d.write(b, re.Sub[d.random.IntN(len(re.Sub))])
	case syntax.OpQuest:
		repeat(0, 1)
	case syntax.OpRepeat:
		repeat(re.Min, max(re.Min, re.Max))
	case syntax.OpEmptyMatch:
	default:
		panic("the library's patterns have " + re.Op.String())
	}
}

// everyText gives all texts that a pattern of emergency numbers matches.
func everyText(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{string(re.Rune)}
	case syntax.OpCharClass:
		var all []string
		for i := 0; i < len(re.Rune); i += 2 {
			for c := re.Rune[i]; c <= re.Rune[i+1]; c++ {
				all = append(all, string(c))
			}
		}
		return all
	case syntax.OpCapture:
		return everyText(re.Sub[0])
	case syntax.OpConcat:
		all := []string{""}
		for _, sub := range re.Sub {
			var longer []string
			for _, head := range all {
				for _, tail := range everyText(sub) {
					longer = append(longer, head+tail)
				}
			}
			all = longer
		}
		return all
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			all = append(all, everyText(sub)...)
		}
		return all
	case syntax.OpQuest:
		return append(everyText(re.Sub[0]), "")
	case syntax.OpRepeat:
		all := []string{""}
		one := everyText(re.Sub[0])
		var result []string
		for i := range re.Max {
			var longer []string
			for _, head := range all {
				for _, tail := range one {
					longer = append(longer, head+tail)
				}
			}
			if all = longer; i+1 >= re.Min {
				result = append(result, all...)
			}
		}
		return result
	case syntax.OpEmptyMatch:
		return []string{""}
	default:
		panic("the library's patterns have " + re.Op.String())
	}
}
