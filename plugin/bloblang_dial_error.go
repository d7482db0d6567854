package plugin

import (
	"errors"

	"github.com/redpanda-data/benthos/v4/public/bloblang"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
)

func init() {
	bloblang.MustRegisterMethodV2("parse_dial_error", parseDialErrorSpec(), newParseDialErrorMethod)
}

func parseDialErrorSpec() *bloblang.PluginSpec {
	return bloblang.NewPluginSpec().
		Category("Parsing").
		Description(description("bloblang_parse_dial_error")).
		Example("Keep a failed lead with the reason.",
			`let failure = @fallback_error.parse_dial_error().catch({"outcome": "failed", "reason": "delivery", "details": @fallback_error})
root = $failure.assign({"lead": this.catch(content().string())})`).
		Example("The failure's text in parts.",
			`root = this.why.parse_dial_error()`,
			[2]string{
				`{"why":"rejected: refused: createOutboundCallsBatched: status 422: no such prompt; http_status=422"}`,
				`{"details":"createOutboundCallsBatched: status 422: no such prompt","http_status":422,"outcome":"rejected","reason":"refused"}`,
			},
			[2]string{
				`{"why":"rejected: missing_field: phone_number: is missing"}`,
				`{"details":"phone_number: is missing","outcome":"rejected","reason":"missing_field"}`,
			},
		)
}

func newParseDialErrorMethod(*bloblang.ParsedParams) (bloblang.Method, error) {
	return func(value any) (any, error) {
		var text string
		switch v := value.(type) {
		case string:
			text = v
		case []byte:
			text = string(v)
		default: // Bloblang's own type error would repeat the value
			return nil, errors.New("the failure of a dial must be a string")
		}
		failure, err := dialer.ParseError(text)
		if err != nil {
			return nil, err
		}
		return failureMembers(failure), nil
	}, nil
}
