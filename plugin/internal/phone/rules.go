package phone

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
)

// Rules say which numbers may be dialed. The zero Rules allow every valid number
// of every region and type.
type Rules struct {
	Regions     []string // two letters each; empty or "*" is any
	Possible    bool     // also numbers that the library's tables do not know to be valid
	RefuseTypes []Type
}

// AnyRegion in Rules.Regions allows every region, and numbers of no country.
const AnyRegion = "*"

// DefaultRefuseTypes are refused unless the config says otherwise: they cost the
// caller more than a call, or do not ring a person's phone.
func DefaultRefuseTypes() []Type {
	return []Type{PremiumRate, SharedCost, PersonalNumber, Satellite, Pager, Voicemail}
}

// DefaultRules are the rules of a dial that sets nothing but its default region,
// which may be empty.
func DefaultRules(region string) Rules {
	r := Rules{RefuseTypes: DefaultRefuseTypes()}
	if region != "" {
		r.Regions = []string{strings.ToUpper(region)}
	}
	return r
}

// Check decides whether a number may be dialed. Its error is a *Refusal.
func (r Rules) Check(n Number) error {
	if n.refused != nil {
		return n.refused
	}
	if err := n.impossible(); err != nil {
		return err
	}
	known := phonenumbers.GetNumberType(n.parsed)
	valid := known != phonenumbers.UNKNOWN // which is how the library defines it; each question costs microseconds
	if !valid {
		if phonenumbers.IsValidShortNumber(n.parsed) {
			return refuse(Invalid, "is a short service number")
		}
		if r.Possible && n.unsure != nil {
			return n.unsure
		}
		if !r.Possible {
			return refuse(Invalid, "fits no numbering plan: %s has no such numbers; if it is newer than this program's tables, `numbers: possible` lets it through", n.plan())
		}
		again, err := phonenumbers.Parse(n.E164, "")
		if strings.HasPrefix(n.national(), "00") || err != nil || phonenumbers.Format(again, phonenumbers.E164) != n.E164 {
			return refuse(Invalid, "has a 0 behind the country code that its plan does not use")
		}
	}
	kind := n.typeBesides(known)
	if err := r.checkRegion(n, valid); err != nil {
		return err
	}
	if slices.Contains(r.RefuseTypes, kind) {
		return refuse(TypeRefused, "is of type %s, which `refuse_types` refuses", kind)
	}
	return nil
}

func (r Rules) checkRegion(n Number, valid bool) error {
	if len(r.Regions) == 0 || slices.Contains(r.Regions, AnyRegion) {
		return nil
	}
	for _, region := range r.Regions {
		if valid && n.validIn(region) || !valid && n.home() == region {
			return nil
		}
	}
	home := n.Country()
	if home == "" {
		home = "no single country"
	}
	return refuse(RegionNotAllowed, "belongs to %s, and only %s may be called: see `regions`", home, strings.Join(r.Regions, ", "))
}

// countsAs are regions whose numbers people take for those of a larger one.
var countsAs = map[string][]string{"GB": {"GG", "JE", "IM"}, "IT": {"VA"}, "NO": {"SJ"}}

// validIn says whether a valid number is one of the region's. The library counts
// toll-free numbers of +1 as valid in all of North America's plan.
func (n Number) validIn(region string) bool {
	return phonenumbers.IsValidNumberForRegion(n.parsed, region) ||
		slices.ContainsFunc(countsAs[region], func(part string) bool { return phonenumbers.IsValidNumberForRegion(n.parsed, part) })
}

// home is the one region that a number most likely belongs to, valid or not: the
// first digits name it, or it is the largest of its country code.
func (n Number) home() string {
	if region := phonenumbers.GetRegionCodeForNumber(n.parsed); region != "" {
		return region
	}
	return phonenumbers.GetRegionCodeForCountryCode(n.countryCode())
}

// KnownRegion says whether a region, two letters in any case, has phone numbers.
func KnownRegion(region string) bool {
	return phonenumbers.GetCountryCodeForRegion(strings.ToUpper(region)) != 0
}

// KnownRegions are all regions with phone numbers, sorted.
func KnownRegions() []string {
	regions := make([]string, 0, 250)
	for region := range phonenumbers.GetSupportedRegions() {
		regions = append(regions, region)
	}
	slices.Sort(regions)
	return regions
}

// Mistaken are codes that people write for a region, and its own.
var Mistaken = map[string]string{"UK": "GB", "EL": "GR"}

// MistakenRegions are the keys of Mistaken, sorted.
func MistakenRegions() []string { return slices.Sorted(maps.Keys(Mistaken)) }

// UnknownRegionError says what is wrong with a region. Text that is no code at
// all is not repeated: where arguments were swapped it is the number.
func UnknownRegionError(region string) error {
	if right := Mistaken[strings.ToUpper(region)]; right != "" {
		return fmt.Errorf("unknown region %q: did you mean %s?", region, right)
	}
	if len(region) > 3 {
		return errors.New("unknown region: use a two-letter code such as US or GB")
	}
	return fmt.Errorf("unknown region %q: use a two-letter code such as US or GB", region)
}
