package phone

import (
	"errors"
	"strconv"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
	"google.golang.org/protobuf/proto"
)

// Read reads a phone text: a number in international form, or one of the region,
// which may be empty. Its error is a *Refusal that says why the text is no phone
// number. A number that was read may still be one that is never dialed, such as an
// emergency number: Rules.Check decides that.
func Read(text, region string) (Number, error) {
	region = strings.ToUpper(region)
	if region != "" && !KnownRegion(region) {
		return Number{}, UnknownRegionError(region)
	}
	if parsed := plainNANP(text); parsed != nil {
		return Number{E164: text, parsed: parsed}, nil
	}
	w, err := readText(text, region)
	if err != nil {
		return Number{}, err
	}
	n, err := w.number(region)
	if err != nil {
		return Number{}, err
	}
	sameBefore := w.plus && w.String() == text // the library read this very text
	if n.refused == nil && !sameBefore && otherwiseBefore(text, region, n.E164) {
		n.refused = refuse(Ambiguous, "can be read as more than one number: write it in international form, with + and without words")
	}
	if n.refused != nil && n.refused.Reason == Ambiguous {
		n.E164 = "" // neither reading is offered
	}
	return n, nil
}

// String is the text without punctuation.
func (w written) String() string {
	if w.plus {
		return "+" + w.digits
	}
	return w.digits
}

// number finds the number that digits mean.
func (w written) number(region string) (Number, error) {
	switch {
	case w.plus && w.digits[0] == '0':
		return Number{}, refuse(Invalid, "has 0 behind the +: write the country code there, such as +44…")
	case !w.plus && region == "":
		if strings.HasPrefix(w.digits, "00") {
			return Number{}, refuse(Invalid, "starts with 00: write + in its place, such as +44…")
		}
		return Number{}, refuse(Invalid, "has no country: give a region such as US, or write it in international form, such as +1…")
	case len(w.digits) > 2*mostDigits: // the library refuses 250 and more
		return Number{}, refuse(Invalid, "has too many digits: one field must hold one number")
	}
	if !w.plus && emergencyBehindCode(w.digits, region) {
		return emergency(w, region), nil
	}
	parsed, err := phonenumbers.ParseAndKeepRawInput(w.String(), region)
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		return Number{}, refuse(Invalid, "starts with a country code that does not exist")
	case err != nil && len(w.digits) < 4:
		return Number{}, refuse(Invalid, "has too few digits")
	case err != nil:
		return Number{}, refuse(Invalid, "has too many digits, or too few: one field must hold one number")
	}
	abroad := parsed.GetCountryCodeSource() == phonenumbers.PhoneNumber_FROM_NUMBER_WITH_IDD
	n := numberOf(parsed)
	switch {
	case w.plus:
	case strings.HasPrefix(w.digits, "00") && n.otherThan(w.digits[2:]):
		return Number{}, refuse(Invalid, "starts with 00: write + in its place, such as +44… (%s dials other countries in another way)", region)
	case abroad && nationalToo(w.digits, region):
		return Number{}, refuse(Invalid, "starts as a number of another country does, and is a number of %s as well: write it in international form, with +", region)
	case !abroad:
		n = n.orAmbiguous(w.digits, region)
	}
	if w.ordinal && restIsANumber(w.digits[1:], region, n.E164) {
		return Number{}, refuse(Invalid, "begins with a digit that may only count, and is a number without it: write the number alone")
	}
	if n.emergencyAbroad() {
		n.Emergency, n.refused = true, emergencyRefusal
	}
	return n, nil
}

// otherThan says whether digits behind a country code's sign are a number, and
// another one than n: 00 66 62… in Thailand, where 006 is a carrier's own sign.
func (n Number) otherThan(digits string) bool {
	meant, err := phonenumbers.Parse("+"+digits, "")
	return err == nil && phonenumbers.Format(meant, phonenumbers.E164) != n.E164 && phonenumbers.IsPossibleNumber(meant)
}

// restIsANumber says whether a text is a valid number without its first digit, too,
// and another one.
func restIsANumber(digits, region, e164 string) bool {
	rest, err := phonenumbers.Parse(digits, region)
	return err == nil && phonenumbers.IsValidNumber(rest) && phonenumbers.Format(rest, phonenumbers.E164) != e164
}

func numberOf(parsed *phonenumbers.PhoneNumber) Number {
	parsed.RawInput, parsed.CountryCodeSource, parsed.PreferredDomesticCarrierCode = nil, nil, nil
	return Number{E164: phonenumbers.Format(parsed, phonenumbers.E164), parsed: parsed}
}

// orAmbiguous decides between two readings of a national text that begins with the
// calling code of its region: 49170… in Germany may be a number of the area 4917,
// or +49 170… without its plus. The national reading wins where only it is valid,
// the other one where only that is; two numbers that are both valid are refused. No
// other code counts: a rule over all codes would refuse a tenth of all national
// numbers.
func (n Number) orAmbiguous(digits, region string) Number {
	code := strconv.Itoa(phonenumbers.GetCountryCodeForRegion(region))
	if !strings.HasPrefix(digits, code) {
		return n
	}
	national, nationalErr := phonenumbers.Parse("+"+code+digits, "")
	rest, restErr := phonenumbers.Parse("+"+digits, "")
	asNational, asRest := "", ""
	if nationalErr == nil {
		asNational = phonenumbers.Format(national, phonenumbers.E164)
	}
	if restErr == nil {
		asRest = phonenumbers.Format(rest, phonenumbers.E164)
	}
	switch {
	case n.E164 != asNational && n.E164 != asRest: // the library took the trunk prefix off twice
		n.refused = refuse(Invalid, "has zeros behind the code %s that no number has: write +%s and the number without its trunk prefix", code, code)
		return n
	case asNational == "" || asRest == "" || asNational == asRest:
		return n
	}
	nationalOK, restOK := phonenumbers.IsValidNumber(national), phonenumbers.IsValidNumber(rest)
	chosen := n
	switch {
	case nationalOK && restOK:
		chosen.refused = twoReadings(code)
	case restOK:
		chosen = numberOf(rest)
	case phonenumbers.IsPossibleNumber(national) && phonenumbers.IsPossibleNumber(rest):
		chosen.unsure = twoReadings(code)
	}
	return chosen
}

func twoReadings(code string) *Refusal {
	return refuse(Ambiguous, "begins with the code %s of its own region, and is a number with it and without it: write +%s… if the code is meant, or the trunk prefix in front", code, code)
}

// nationalToo says whether digits that begin with the international prefix of a
// region are a number of that region, too: 810 84… in Russia.
func nationalToo(digits, region string) bool {
	n, err := phonenumbers.Parse("+"+strconv.Itoa(phonenumbers.GetCountryCodeForRegion(region))+digits, "")
	return err == nil && phonenumbers.IsValidNumber(n)
}

// otherwiseBefore says whether earlier versions of this program, which took any
// text that the library makes something of, called another number for this text.
// Such a text is refused and never corrected: the ledger may know the lead by the
// number that was called, and a corrected one would ring a second phone for it.
func otherwiseBefore(text, region, e164 string) bool {
	parsed, err := phonenumbers.Parse(text, region)
	return err == nil && phonenumbers.IsPossibleNumber(parsed) && phonenumbers.Format(parsed, phonenumbers.E164) != e164
}

// plainNANP reads a number of the North American plan that is in E.164 form, and
// nil when it is anything else. Such a number has no trunk prefix and no extension
// to look for, which is most of what parsing costs.
func plainNANP(number string) *phonenumbers.PhoneNumber {
	national, ok := strings.CutPrefix(number, "+1")
	if !ok || len(national) != nanpDigits || national[0] < '2' {
		return nil
	}
	digits := uint64(0)
	for _, c := range []byte(national) {
		if c < '0' || c > '9' {
			return nil
		}
		digits = 10*digits + uint64(c-'0')
	}
	return &phonenumbers.PhoneNumber{CountryCode: proto.Int32(nanp), NationalNumber: &digits}
}

// ReasonOf is the reason of an error of this package, Invalid for others.
func ReasonOf(err error) Reason {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Reason
	}
	return Invalid
}
