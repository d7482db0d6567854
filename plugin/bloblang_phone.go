package plugin

import (
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/bloblang"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/phone"
)

func init() {
	bloblang.MustRegisterMethodV2("parse_phone_number", parsePhoneSpec(), newParsePhoneMethod)
}

func parsePhoneSpec() *bloblang.PluginSpec {
	return bloblang.NewPluginSpec().
		Category("Parsing").
		Description(description("bloblang_parse_phone_number")).
		Param(bloblang.NewStringParam("region").
			Description("Where a number without a leading `+` is from: two letters such as `US` or `GB`. Empty accepts only numbers with a leading `+`.").
			Default("")).
		Example("A region is needed for numbers in national form.",
			`root = this.phone.parse_phone_number("US")`,
			[2]string{
				`{"phone":"(415) 555-0100"}`,
				`{"country":"US","e164":"+14155550100","emergency":false,"possible":true,"reason":"","timezones":["America/Los_Angeles"],"type":"fixed_line_or_mobile","valid":true}`,
			},
		).
		Example("Numbers in international form carry their country.",
			`root = this.phone.parse_phone_number()`,
			[2]string{
				`{"phone":"+44 20 7946 0958"}`,
				`{"country":"GB","e164":"+442079460958","emergency":false,"possible":true,"reason":"","timezones":["Europe/London"],"type":"fixed_line","valid":true}`,
			},
		).
		Example("Keep leads that can be called, in one spelling.",
			`let number = this.phone.parse_phone_number(region: this.country).catch({"reason": "invalid_phone_number"})
root = if $number.reason == "" { this.assign({"phone": $number.e164}) } else { deleted() }`,
			[2]string{`{"country":"DE","phone":"030 123456"}`, `{"country":"DE","phone":"+4930123456"}`},
			[2]string{`{"country":"DE","phone":"ask for Anna"}`, `<Message deleted>`},
		)
}

func newParsePhoneMethod(args *bloblang.ParsedParams) (bloblang.Method, error) {
	region, err := args.GetString("region")
	if err != nil {
		return nil, err
	}
	if region != "" && !phone.KnownRegion(region) {
		return nil, phone.UnknownRegionError(region)
	}
	rules := phone.DefaultRules(region)
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
		number, err := phone.Read(text, region)
		if err != nil {
			return nil, fmt.Errorf("the text is not a phone number: it %w", err)
		}
		reason := ""
		if err := rules.Check(number); err != nil {
			reason = string(phone.ReasonOf(err))
		}
		zones := []any{}
		for _, zone := range number.Timezones() {
			zones = append(zones, zone)
		}
		return map[string]any{
			"e164":      number.E164,
			"country":   number.Country(),
			"type":      string(number.Type()),
			"valid":     number.Valid(),
			"possible":  number.Possible(),
			"emergency": number.Emergency,
			"reason":    reason,
			"timezones": zones,
		}, nil
	}, nil
}
