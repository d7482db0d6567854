package phone

import (
	"slices"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
)

// Type is what kind of line a number names.
type Type string

// Types of numbers: the library's, and Satellite.
const (
	FixedLine         Type = "fixed_line"
	Mobile            Type = "mobile"
	FixedLineOrMobile Type = "fixed_line_or_mobile" // plans that do not tell them apart, such as North America's
	TollFree          Type = "toll_free"
	PremiumRate       Type = "premium_rate"
	SharedCost        Type = "shared_cost"
	VoIP              Type = "voip"
	PersonalNumber    Type = "personal_number"
	Pager             Type = "pager"
	UAN               Type = "uan" // universal access number of a company
	Voicemail         Type = "voicemail"
	Satellite         Type = "satellite"
	Unknown           Type = "unknown"
)

// Types are all types, as a config may name them.
func Types() []Type {
	return []Type{FixedLine, Mobile, FixedLineOrMobile, TollFree, PremiumRate, SharedCost, VoIP, PersonalNumber, Pager, UAN, Voicemail, Satellite, Unknown}
}

// Type is the number's type. It does not say whether anybody has the number.
func (n Number) Type() Type { return n.typeBesides(phonenumbers.GetNumberType(n.parsed)) }

// typeBesides adds to the library's type what its tables do not have.
func (n Number) typeBesides(known phonenumbers.PhoneNumberType) Type {
	switch {
	case n.satellite():
		return Satellite
	case n.nanpPremium(), known == phonenumbers.UNKNOWN && n.in(premiumRanges):
		return PremiumRate
	}
	return typeOf(known)
}

func typeOf(t phonenumbers.PhoneNumberType) Type {
	switch t {
	case phonenumbers.FIXED_LINE:
		return FixedLine
	case phonenumbers.MOBILE:
		return Mobile
	case phonenumbers.FIXED_LINE_OR_MOBILE:
		return FixedLineOrMobile
	case phonenumbers.TOLL_FREE:
		return TollFree
	case phonenumbers.PREMIUM_RATE:
		return PremiumRate
	case phonenumbers.SHARED_COST:
		return SharedCost
	case phonenumbers.VOIP:
		return VoIP
	case phonenumbers.PERSONAL_NUMBER:
		return PersonalNumber
	case phonenumbers.PAGER:
		return Pager
	case phonenumbers.UAN:
		return UAN
	case phonenumbers.VOICEMAIL:
		return Voicemail
	default:
		return Unknown
	}
}

// satelliteRanges are the first digits of satellite phones, behind the country
// code. The library's tables have no such type.
var satelliteRanges = map[int][]string{
	870: {""},                           // Inmarsat. ITU, list of E.164 assigned country codes
	881: {""},                           // Global Mobile Satellite System: Iridium, Globalstar and earlier ones. ITU, E.164, GMSS codes
	882: {"13", "16", "32", "98", "99"}, // EMSAT and Thuraya; networks of ships and aircraft, which satellites connect. ITU, E.164, shared code 882
	1:   {"600"},                        // Canada's caller-paid numbers, most of them satellite phones. CNA, non-geographic code 600
	7:   {"954"},                        // Russia, GlobalTel (Globalstar). Russian numbering plan, DEF code 954
	61:  {"14"},                         // Australia, 014. ACMA, Telecommunications Numbering Plan 2015, satellite telephone service
	62:  {"868"},                        // Indonesia, Byru (PSN). Indonesian numbering plan, code 868
	86:  {"1349", "1740"},               // China, Globalstar and Tiantong. Chinese numbering plan, mobile segments
}

// premiumRanges are ranges that the library's tables no longer or do not yet have,
// and which cost more than a call where `numbers: possible` lets them through.
var premiumRanges = map[int][]string{
	34: {"905", "907"}, // Spain, televoting and data. CNMC, national numbering plan
	49: {"190"},        // Germany, premium services until 2005. BNetzA, numbering plan (0)190
}

func (n Number) satellite() bool { return n.in(satelliteRanges) }

// in says whether the number begins as one of the ranges of its country code does.
func (n Number) in(ranges map[int][]string) bool {
	firsts := ranges[n.countryCode()]
	if len(firsts) == 0 {
		return false
	}
	national := n.national()
	return slices.ContainsFunc(firsts, func(first string) bool { return strings.HasPrefix(national, first) })
}
