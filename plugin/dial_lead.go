package plugin

import (
	"errors"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/phone"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// leadRules are what every component that dials demands of a lead.
type leadRules struct {
	dedupeKey   *dedupeKey // nil: what is asked for is the key
	refSalt     string     // dial_ref_salt
	dialErrored bool
	region      string      // of numbers that are not international
	numbers     phone.Rules // which numbers are called
}

func (r *leadRules) fromParsed(conf *service.ParsedConfig) error {
	key, err := conf.FieldString(dfFieldDedupeKey)
	if err != nil {
		return err
	}
	if key != "" {
		whole, err := conf.FieldInterpolatedString(dfFieldDedupeKey)
		if err != nil {
			return err
		}
		r.dedupeKey = newDedupeKey(key, whole)
	}
	if r.refSalt, err = conf.FieldString(dfFieldRefSalt); err != nil {
		return err
	}
	if r.dialErrored, err = conf.FieldBool(dfFieldDialErrored); err != nil {
		return err
	}
	r.region, r.numbers, err = numberRules(conf)
	return err
}

// admit refuses a message on which an earlier processor failed: it may be the one
// that knows who must not be called.
func (r *leadRules) admit(msg *service.Message) error {
	if err := msg.GetError(); err != nil && !r.dialErrored {
		return badInput(words.ProcessingFailed, "an earlier processor failed on the message: %s", withoutValues(errors.New(maskValues(err.Error(), msg))))
	}
	return nil
}

// keysOf are the keys of a batch, by the index of a message: "" for all without dedupe_key.
func (r *leadRules) keysOf(batch service.MessageBatch) func(i int) (string, error) {
	if r.dedupeKey == nil {
		return func(int) (string, error) { return "", nil }
	}
	return r.dedupeKey.of(batch).key
}

// e164 reads the number in a member of what is asked for, and checks that it may be called.
func (r *leadRules) e164(member, text string) (string, error) {
	number, err := phone.Read(text, r.region)
	if err == nil {
		err = r.numbers.Check(number)
	}
	if err != nil {
		return "", badInput(string(phone.ReasonOf(err)), "%s: %w", member, err)
	}
	return number.E164, nil
}
