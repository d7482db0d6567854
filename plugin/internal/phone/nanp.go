package phone

import (
	"strings"
)

// nanp is the country code of the North American Numbering Plan, whose numbers are
// NPA-NXX-XXXX: three digits of area code, three of exchange, four of line.
const nanp = 1

const nanpDigits = 10

// nanpImpossible says why the plan has no number of ten digits, nil where it can.
// Source: ATIS-0300051, Central Office Code Assignment Guidelines; NPA-NXX has N
// from 2 to 9, N11 are service codes, and N9X area codes are kept for a longer plan.
func nanpImpossible(national string) *Refusal {
	if len(national) != nanpDigits {
		return nil
	}
	area, exchange := national[:3], national[3:6]
	switch {
	case area[0] < '2':
		return refuse(Invalid, "has an area code that begins with 0 or 1")
	case area[1] == '9':
		return refuse(Invalid, "has an area code that is not in use: 9 is never its second digit")
	case exchange[0] < '2':
		return refuse(Invalid, "has 0 or 1 behind the area code, where no number has it")
	case serviceCode(area), serviceCode(exchange):
		return refuse(EmergencyNumber, "has a service code such as 911 or 411 in place of an area code or exchange")
	}
	return nil
}

// serviceCode is of the form N11.
func serviceCode(code string) bool { return strings.HasSuffix(code, "11") }

// nanpPremium are numbers that cost more than a call beside those of area code 900,
// which the library knows: exchange 976 and directory assistance, 555-1212, of every
// area code but the toll-free ones.
func (n Number) nanpPremium() bool {
	national := n.national()
	if n.countryCode() != nanp || len(national) != nanpDigits {
		return false
	}
	return (national[3:6] == "976" || national[3:] == "5551212") && !nanpTollFree(national[:3])
}

// nanpTollFree are 800, 833, 844 and so on to 888.
func nanpTollFree(area string) bool { return area[0] == '8' && area[1] == area[2] }
