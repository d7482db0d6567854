package kafka

import (
	"errors"
	"fmt"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const ( // sa: SASL
	saField           = "sasl"
	saFieldMechanism  = "mechanism"
	saFieldUsername   = "username"
	saFieldPassword   = "password"
	saFieldToken      = "token"
	saFieldExtensions = "extensions"
)

const (
	saslNone        = "none"
	saslPlain       = "PLAIN"
	saslScram256    = "SCRAM-SHA-256"
	saslScram512    = "SCRAM-SHA-512"
	saslOAuthBearer = "OAUTHBEARER"
)

const saslKnown = "none, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER"

// Mechanisms of Connect's that this component does not have, and why.
const (
	noMSK = "this program does not have the mechanism AWS_MSK_IAM, which needs the AWS SDK; use SCRAM-SHA-512, which MSK has too, or a build with Connect"
	noRPC = "this program does not have the mechanism REDPANDA_CLOUD_SERVICE_ACCOUNT, whose code is not open source; use SCRAM, which Redpanda Cloud has too, or a build with Connect"
)

// saslLint explains mechanisms that only Connect has. It replaces the rule that Benthos
// makes of the field's options, so it also refuses unknown ones.
const saslLint = `root = match this.string().uppercase() {
  this == "NONE" || this == "PLAIN" || this == "SCRAM-SHA-256" || this == "SCRAM-SHA-512" || this == "OAUTHBEARER" => []
  "AWS_MSK_IAM" => [ "` + noMSK + `" ]
  "REDPANDA_CLOUD_SERVICE_ACCOUNT" => [ "` + noRPC + `" ]
  _ => [ "unknown mechanism; use one of ` + saslKnown + `" ]
}`

func saslField() *service.ConfigField {
	return service.NewObjectListField(saField,
		service.NewStringAnnotatedEnumField(saFieldMechanism, map[string]string{
			saslNone:        "No authentication.",
			saslPlain:       "User name and password, sent as they are. Use it with `tls` only.",
			saslScram256:    "User name and password, which are proved without being sent (RFC 5802), with SHA-256.",
			saslScram512:    "User name and password, which are proved without being sent (RFC 5802), with SHA-512.",
			saslOAuthBearer: "A bearer token.",
		}).
			Description("How the client authenticates.").
			LintRule(saslLint),
		service.NewStringField(saFieldUsername).
			Description("The user name, for PLAIN and SCRAM.").
			Default(""),
		service.NewStringField(saFieldPassword).
			Description("The password, for PLAIN and SCRAM.").
			Default("").
			Secret(),
		service.NewStringField(saFieldToken).
			Description("The token, for OAUTHBEARER. The component uses this one token for as long as it runs; it does not fetch another when the token expires.").
			Default("").
			Secret(),
		service.NewStringMapField(saFieldExtensions).
			Description("Further keys and values to send with the token, for OAUTHBEARER.").
			Optional(),
	).
		Description("How the client authenticates. Of several mechanisms the client uses the first one, or, if a broker does not support it, the first of the others that the broker supports.").
		Example([]any{map[string]any{
			saFieldMechanism: saslScram512, saFieldUsername: "benthos", saFieldPassword: "${KAFKA_PASSWORD}",
		}}).
		Optional().
		Advanced()
}

func saslFromParsed(conf *service.ParsedConfig) (mechanisms []sasl.Mechanism, err error) {
	if !conf.Contains(saField) {
		return nil, nil
	}
	items, err := conf.FieldObjectList(saField)
	if err != nil {
		return nil, err
	}
	for i, item := range items {
		mechanism, err := mechanismFromParsed(item)
		if err != nil {
			return nil, fmt.Errorf("field %s.%d: %w", saField, i, err)
		}
		if mechanism != nil {
			mechanisms = append(mechanisms, mechanism)
		}
	}
	return mechanisms, nil
}

// mechanismFromParsed reads one item of the list. The mechanism none is nil.
func mechanismFromParsed(conf *service.ParsedConfig) (sasl.Mechanism, error) {
	name, err := conf.FieldString(saFieldMechanism)
	if err != nil {
		return nil, err
	}
	// In any case of letters, as Benthos lints the words of a list.
	switch name = strings.ToUpper(name); name {
	case strings.ToUpper(saslNone):
		return nil, nil
	case saslOAuthBearer:
		return oauthFromParsed(conf)
	case saslPlain, saslScram256, saslScram512:
	case "AWS_MSK_IAM":
		return nil, errors.New(saFieldMechanism + ": " + noMSK)
	case "REDPANDA_CLOUD_SERVICE_ACCOUNT":
		return nil, errors.New(saFieldMechanism + ": " + noRPC)
	default:
		return nil, fmt.Errorf("%s: unknown mechanism %q; use one of %s", saFieldMechanism, name, saslKnown)
	}

	user, err := conf.FieldString(saFieldUsername)
	if err != nil {
		return nil, err
	}
	password, err := conf.FieldString(saFieldPassword)
	if err != nil {
		return nil, err
	}
	if user == "" {
		return nil, fmt.Errorf("%s: must not be empty with mechanism %s", saFieldUsername, name)
	}
	if password == "" {
		return nil, fmt.Errorf("%s: must not be empty with mechanism %s", saFieldPassword, name)
	}
	switch name {
	case saslScram256:
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case saslScram512:
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	default:
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	}
}

func oauthFromParsed(conf *service.ParsedConfig) (sasl.Mechanism, error) {
	auth := oauth.Auth{}
	var err error
	if auth.Token, err = conf.FieldString(saFieldToken); err != nil {
		return nil, err
	}
	if auth.Token == "" {
		return nil, errors.New(saFieldToken + ": must not be empty with mechanism OAUTHBEARER")
	}
	if conf.Contains(saFieldExtensions) {
		if auth.Extensions, err = conf.FieldStringMap(saFieldExtensions); err != nil {
			return nil, err
		}
	}
	return auth.AsMechanism(), nil
}
