package phone

import (
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
	"google.golang.org/protobuf/proto"
)

var emergencyRefusal = refuse(EmergencyNumber, "is an emergency number")

// longestEmergency is how many digits the longest emergency number has, and more.
const longestEmergency = 8

// emergencyIn says whether digits, as they are or behind a trunk prefix, are an
// emergency number of the region.
func emergencyIn(digits, region string) bool {
	if len(digits) > longestEmergency {
		return false
	}
	return phonenumbers.IsEmergencyNumber(digits, region) || phonenumbers.IsEmergencyNumber(strings.TrimLeft(digits, "0"), region)
}

// emergencyBehindCode is emergencyIn, also behind the region's own calling code:
// 358112 in Finland is 112.
func emergencyBehindCode(digits, region string) bool {
	code := strconv.Itoa(phonenumbers.GetCountryCodeForRegion(region))
	for {
		if emergencyIn(digits, region) {
			return true
		}
		rest, ok := strings.CutPrefix(digits, code)
		if !ok {
			return false
		}
		digits = rest
	}
}

// emergency is the number of a text that is an emergency number. Not all of them
// are numbers to the library.
func emergency(w written, region string) Number {
	parsed, err := phonenumbers.Parse(w.digits, region)
	if err != nil {
		return Number{Emergency: true, refused: emergencyRefusal, parsed: &phonenumbers.PhoneNumber{
			CountryCode: new(int32(phonenumbers.GetCountryCodeForRegion(region))), NationalNumber: proto.Uint64(0),
		}}
	}
	n := numberOf(parsed)
	n.Emergency, n.refused = true, emergencyRefusal
	return n
}

// emergencyAbroad says whether the number without its country code, or without its
// area code, is an emergency number of one of the code's regions: somewhere +49 112
// may ring as 112 does, and +82 31 119 rings the fire brigade of that area.
func (n Number) emergencyAbroad() bool {
	national := n.national()
	if len(national) > longestEmergency+len("03012") {
		return false
	}
	line := national[phonenumbers.GetLengthOfGeographicalAreaCode(n.parsed):]
	for _, region := range phonenumbers.GetRegionCodesForCountryCode(n.countryCode()) {
		if emergencyIn(national, region) || len(line) < len(national) && phonenumbers.IsEmergencyNumber(line, region) {
			return true
		}
	}
	return false
}
