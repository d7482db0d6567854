package plugin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nyaruka/phonenumbers/v2"
	"github.com/nyaruka/phonenumbers/v2/timezone"
	"github.com/redpanda-data/benthos/v4/public/bloblang"
)

func init() {
	bloblang.MustRegisterMethodV2("parse_phone_number", parsePhoneSpec(), newParsePhoneMethod)
}

func parsePhoneSpec() *bloblang.PluginSpec {
	return bloblang.NewPluginSpec().
		Category("Parsing").
		Description(`Reads a phone number as people write it and returns an object with:

- `+"`e164`"+`: the number in international form, such as `+"`+14155550100`"+`; an extension is left out
- `+"`country`"+`: two letters such as `+"`US`"+`, empty when the number belongs to no single country
- `+"`type`"+`: `+"`mobile`, `fixed_line`, `fixed_line_or_mobile`, `toll_free`, `premium_rate`, `shared_cost`, `voip`, `personal_number`, `pager`, `uan`, `voicemail` or `unknown`"+`
- `+"`valid`"+`: whether the number fits the numbering plan of its country, which says nothing about whether somebody has it
- `+"`timezones`"+`: names of the time zones where it can be, an empty list when none is known; a number that is not tied to a place has all zones of its country

Text that is no phone number is an error, which never repeats the text. A number that is too short or too long for its country is none: it has `+"`valid: false`"+`.`).
		Param(bloblang.NewStringParam("region").
			Description("Where a number without a leading `+` is from: two letters such as `US` or `GB`. Empty accepts only numbers with a leading `+`.").
			Default("")).
		Example("A region is needed for numbers in national form.",
			`root = this.phone.parse_phone_number("US")`,
			[2]string{
				`{"phone":"(415) 555-0100"}`,
				`{"country":"US","e164":"+14155550100","timezones":["America/Los_Angeles"],"type":"fixed_line_or_mobile","valid":true}`,
			},
		).
		Example("Numbers in international form carry their country.",
			`root = this.phone.parse_phone_number()`,
			[2]string{
				`{"phone":"+44 20 7946 0958"}`,
				`{"country":"GB","e164":"+442079460958","timezones":["Europe/London"],"type":"fixed_line","valid":true}`,
			},
		).
		Example("Keep leads that can be called, in one spelling.",
			`let number = this.phone.parse_phone_number(region: this.country).catch({"valid": false})
root = if $number.valid { this.assign({"phone": $number.e164}) } else { deleted() }`,
			[2]string{`{"country":"DE","phone":"030 123456"}`, `{"country":"DE","phone":"+4930123456"}`},
			[2]string{`{"country":"DE","phone":"ask for Anna"}`, `<Message deleted>`},
		)
}

func newParsePhoneMethod(args *bloblang.ParsedParams) (bloblang.Method, error) {
	region, err := args.GetString("region")
	if err != nil {
		return nil, err
	}
	if region != "" && !knownRegion(region) {
		return nil, unknownRegionError(region)
	}
	return func(value any) (any, error) {
		var text string
		switch v := value.(type) {
		case string:
			text = v
		case []byte:
			text = string(v)
		default: // Bloblang's own type error would repeat the value
			return nil, errors.New("a phone number must be a string")
		}
		number, err := parsePhone(text, region)
		if err != nil {
			return nil, err
		}
		zones := []any{}
		for _, zone := range number.timezones() {
			zones = append(zones, zone)
		}
		return map[string]any{
			"e164":      number.E164,
			"country":   number.country(),
			"type":      phoneType(phonenumbers.GetNumberType(number.parsed)),
			"valid":     number.valid(),
			"timezones": zones,
		}, nil
	}, nil
}

// phoneNumber is a parsed number. What dialing does not need is asked for apart:
// it costs more than the parsing.
type phoneNumber struct {
	E164   string
	parsed *phonenumbers.PhoneNumber
}

// country is empty when there is no single one.
func (n phoneNumber) country() string {
	country := phonenumbers.GetRegionCodeForNumber(n.parsed)
	if country == "001" || country == "ZZ" { // the library's words for the whole world and for unknown
		return ""
	}
	return country
}

func (n phoneNumber) valid() bool { return phonenumbers.IsValidNumber(n.parsed) }

// parsePhone reads a number that is in international form or from the region. Numbers are personal: no error repeats one.
func parsePhone(number, region string) (phoneNumber, error) {
	if region != "" && !knownRegion(region) {
		return phoneNumber{}, unknownRegionError(region)
	}
	if parsed := plainNANP(number); parsed != nil {
		return phoneNumber{E164: number, parsed: parsed}, nil
	}
	parsed, err := phonenumbers.Parse(number, strings.ToUpper(region))
	switch {
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode) && region == "" && !strings.ContainsAny(number, "+＋"):
		return phoneNumber{}, errors.New("the phone number has no country: give a region such as US, or write it in international form with a leading +")
	case errors.Is(err, phonenumbers.ErrInvalidCountryCode):
		return phoneNumber{}, errors.New("the phone number starts with a country code that does not exist")
	case err != nil:
		return phoneNumber{}, errors.New("the text is not a phone number")
	}
	return phoneNumber{E164: phonenumbers.Format(parsed, phonenumbers.E164), parsed: parsed}, nil
}

// plainNANP reads a number of the North American plan that is in E.164 form, and
// nil when it is anything else. Such a number has no trunk prefix and no extension
// to look for, which is most of what parsing costs.
func plainNANP(number string) *phonenumbers.PhoneNumber {
	national, ok := strings.CutPrefix(number, "+1")
	if !ok || len(national) != 10 || national[0] < '2' {
		return nil
	}
	country, digits := int32(1), uint64(0)
	for _, c := range []byte(national) {
		if c < '0' || c > '9' {
			return nil
		}
		digits = 10*digits + uint64(c-'0')
	}
	return &phonenumbers.PhoneNumber{CountryCode: &country, NationalNumber: &digits}
}

func knownRegion(region string) bool {
	return phonenumbers.GetCountryCodeForRegion(strings.ToUpper(region)) != 0
}

func unknownRegionError(region string) error {
	if len(region) > 3 { // no code at all: in a mapping with swapped arguments it can be the number
		return errors.New("unknown region: give two letters such as US or GB")
	}
	return fmt.Errorf("unknown region %q: give two letters such as US or GB", region)
}

func phoneType(t phonenumbers.PhoneNumberType) string {
	switch t {
	case phonenumbers.FIXED_LINE:
		return "fixed_line"
	case phonenumbers.MOBILE:
		return "mobile"
	case phonenumbers.FIXED_LINE_OR_MOBILE:
		return "fixed_line_or_mobile"
	case phonenumbers.TOLL_FREE:
		return "toll_free"
	case phonenumbers.PREMIUM_RATE:
		return "premium_rate"
	case phonenumbers.SHARED_COST:
		return "shared_cost"
	case phonenumbers.VOIP:
		return "voip"
	case phonenumbers.PERSONAL_NUMBER:
		return "personal_number"
	case phonenumbers.PAGER:
		return "pager"
	case phonenumbers.UAN:
		return "uan"
	case phonenumbers.VOICEMAIL:
		return "voicemail"
	default:
		return "unknown"
	}
}

// timezones are looked up on demand: placing a call does not need them.
func (n phoneNumber) timezones() []string {
	zones, err := timezone.GetTimeZonesForNumber(n.parsed)
	if err != nil { // only the library's embedded table can fail here
		return nil
	}
	var known []string
	for _, zone := range zones {
		if zone != timezone.Unknown {
			known = append(known, zone)
		}
	}
	return known
}
