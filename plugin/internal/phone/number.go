// Package phone reads phone numbers as people write them, and decides whether
// they may be dialed.
//
// Read turns text into a Number or says why the text is none; Rules.Check then
// says whether the number may be dialed. Both refuse in doubt: a refused lead is
// seen and corrected, a stranger's phone that rang is not. No error repeats a
// number, since numbers are personal.
package phone

import (
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/nyaruka/phonenumbers/v2/timezone"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Reason is why a text or a number is refused, in one word.
type Reason string

// Reasons of a Refusal.
const (
	Invalid          Reason = words.InvalidPhoneNumber
	Ambiguous        Reason = words.AmbiguousPhoneNumber
	EmergencyNumber  Reason = words.EmergencyNumber
	RegionNotAllowed Reason = words.RegionNotAllowed
	TypeRefused      Reason = words.NumberTypeRefused
)

// Refusal is a text or a number that is not dialed.
type Refusal struct {
	Reason  Reason
	Problem string // what is wrong and what to change; without the number
}

// Error gives the problem.
func (r *Refusal) Error() string { return r.Problem }

func refuse(reason Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Problem: fmt.Sprintf(format, args...)}
}

// Number is a number that was read. It may still be one that nobody may dial:
// see Rules.Check.
type Number struct {
	E164      string // such as +14155550100, without an extension; "" where the text has two readings
	Emergency bool   // it calls the police, an ambulance or the fire brigade

	parsed  *phonenumbers.PhoneNumber
	refused *Refusal // by its text alone
	unsure  *Refusal // by its text, where numbers need not be valid
}

// Valid says whether the number fits the numbering plan of its country, as far as
// the library's tables know. It does not say whether anybody has the number.
func (n Number) Valid() bool { return phonenumbers.IsValidNumber(n.parsed) }

// Possible says whether a number of this length can exist in its country.
func (n Number) Possible() bool {
	return phonenumbers.IsPossibleNumber(n.parsed) && n.impossible() == nil
}

// Country is the region of the number, two letters; "" when it belongs to no
// single one.
func (n Number) Country() string {
	country := phonenumbers.GetRegionCodeForNumber(n.parsed)
	if country == worldRegion || country == unknownRegion {
		return ""
	}
	return country
}

// Timezones are the names of the time zones where the number can be, none when
// that is not known.
func (n Number) Timezones() (zones []string) {
	found, err := timezone.GetTimeZonesForNumber(n.parsed)
	if err != nil { // only the library's embedded table can fail here
		return nil
	}
	for _, zone := range found {
		if zone != timezone.Unknown {
			zones = append(zones, zone)
		}
	}
	return zones
}

// The library's words for the whole world and for no region.
const (
	worldRegion   = "001"
	unknownRegion = "ZZ"
)

func (n Number) countryCode() int { return int(n.parsed.GetCountryCode()) }

func (n Number) national() string { return phonenumbers.GetNationalSignificantNumber(n.parsed) }

// plan names the number's country code, for errors.
func (n Number) plan() string { return fmt.Sprintf("+%d", n.countryCode()) }

// mostDigits of a number in E.164 form. ITU-T E.164, section 6.
const mostDigits = 15

// impossible says why no numbering plan can have the number, nil where one can.
func (n Number) impossible() *Refusal {
	national := n.national()
	switch phonenumbers.IsPossibleNumberWithReason(n.parsed) {
	case phonenumbers.IS_POSSIBLE:
	case phonenumbers.IS_POSSIBLE_LOCAL_ONLY:
		return refuse(Invalid, "the area code is missing")
	case phonenumbers.TOO_SHORT:
		return refuse(Invalid, "has too few digits for a number of %s", n.plan())
	case phonenumbers.TOO_LONG:
		return refuse(Invalid, "has too many digits for a number of %s: one field must hold one number", n.plan())
	default:
		if n.countryCode() == mexico && len(national) == 11 && national[0] == '1' {
			return refuse(Invalid, "has the digit 1 that Mexico's mobile numbers lost in 2019: write +52 and ten digits")
		}
		return refuse(Invalid, "has a number of digits that %s does not use", n.plan())
	}
	switch {
	case len(n.E164) > mostDigits+len("+"):
		return refuse(Invalid, "has more than %d digits", mostDigits)
	case strings.Trim(national, "0") == "":
		return refuse(Invalid, "has only zeros")
	case n.countryCode() == nanp:
		return nanpImpossible(national)
	}
	return nil
}

const mexico = 52 // country code
