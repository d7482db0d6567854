package plugin

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// maxPayloadBytes is the largest payload that is sent, less one. No source says what the API
// takes; a payload becomes part of each run that is listed and read.
const maxPayloadBytes = 1_000_000

// payloadBuilder makes payloads of messages.
type payloadBuilder struct {
	leadRules
	mapping    *bloblang.Executor
	phonePath  []string // nil: no number is checked
	refPath    []string
	phoneField string
	identity   string // what the fingerprint says beside the payload
}

func (b *payloadBuilder) fromParsed(conf *service.ParsedConfig, w workflowConfig) (err error) {
	if b.mapping, err = conf.FieldBloblang(wfFieldMapping); err != nil {
		return err
	}
	if b.phoneField, err = pathFromParsed(conf, wfFieldPhone); err != nil {
		return err
	}
	if within(b.phoneField, w.refField) || within(w.refField, b.phoneField) {
		return fmt.Errorf("%s and %s: must not be the same member, nor one within the other: the reference would replace the number", wfFieldPhone, wfFieldRef)
	}
	if b.phoneField != "" {
		b.phonePath = strings.Split(b.phoneField, ".")
	}
	b.refPath = strings.Split(w.refField, ".")
	b.identity = "run\x00" + w.workflow + "\x00" + string(w.environment) + "\x00"
	return b.leadRules.fromParsed(conf)
}

// within says whether a path is another, or leads through it.
func within(path, other string) bool { return strings.HasPrefix(path+".", other+".") }

// of implements requestBuilder.
func (b *payloadBuilder) of(batch service.MessageBatch) func(i int) (dialer.Call, error) {
	mapping, key := batch.BloblangExecutor(b.mapping), b.keysOf(batch)
	return func(i int) (call dialer.Call, err error) {
		if err := b.admit(batch[i]); err != nil {
			return dialer.Call{}, err
		}
		defer func() { err = explainShape(batch[i], wfFieldMapping, err) }()
		payload, err := mappedObject(batch[i], mapping, i, wfFieldMapping, "the payload")
		if err != nil {
			return dialer.Call{}, err
		}
		if call.Number, payload, err = b.withNumber(payload); err != nil {
			return dialer.Call{}, err
		}
		payload = withoutMember(payload, b.refPath) // the name is ours
		name, err := key(i)
		if err != nil {
			return dialer.Call{}, err
		}
		contents, err := encodeObject(payload)
		if err != nil {
			return dialer.Call{}, badInput(words.MappingFailed, "%s: gave a value that JSON cannot hold", wfFieldMapping)
		}
		if len(contents) >= maxPayloadBytes {
			return dialer.Call{}, badInput(words.TooLarge, "%s: the payload is %d bytes as JSON; it must be less than 1 MB (%d): send less, or an address where the workflow finds it",
				largestMember(payload), len(contents), maxPayloadBytes)
		}
		// The ledger's key holds neither generation nor workflow: a lead that was called by
		// other means is known. What tells them apart is the fingerprint.
		call.Key, _ = dialer.Identify(name, contents)
		_, call.Fingerprint = dialer.Identify("", append([]byte(b.identity), contents...))
		call.Ref = dialer.Reference(call.Key, b.refSalt)
		if call.Body, err = b.marked(payload, contents, call.Ref); err != nil {
			return dialer.Call{}, badInput(words.InvalidField, "%s: %w", wfFieldRef, err)
		}
		return call, nil
	}
}

// withNumber checks the number to call, and puts it into E.164 form.
func (b *payloadBuilder) withNumber(payload map[string]any) (number string, _ map[string]any, err error) {
	if b.phonePath == nil {
		return "", payload, nil
	}
	value, found := member(payload, b.phonePath)
	var text string
	switch v := value.(type) {
	case string:
		text = v
	case []byte:
		text = string(v)
	case nil:
	default:
		return "", nil, badInput(words.InvalidField, "%s: must be text, as phone_field says that it is the number to call", b.phoneField)
	}
	switch {
	case !found:
		return "", nil, badInput(words.MissingField, "phone_field: the payload has no member %s; have payload_mapping give the number to call there, or name the member that has it", b.phoneField)
	case strings.TrimSpace(text) == "":
		return "", nil, badInput(words.MissingField, "%s: is empty, and is the number to call", b.phoneField)
	}
	if number, err = b.e164(b.phoneField, text); err != nil {
		return "", nil, err
	}
	payload, err = withMember(payload, b.phonePath, number)
	return number, payload, err
}

// marked is the payload with its reference, as JSON.
func (b *payloadBuilder) marked(payload map[string]any, contents []byte, ref string) ([]byte, error) {
	if len(b.refPath) > 1 {
		marked, err := withMember(payload, b.refPath, ref)
		if err != nil {
			return nil, err
		}
		return encodeObject(marked)
	}
	name, err := json.Marshal(b.refPath[0])
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, len(contents)+len(name)+len(ref)+8)
	body = append(body, contents[:len(contents)-1]...)
	if len(payload) > 0 {
		body = append(body, ',')
	}
	body = append(append(body, name...), ':', '"')
	return append(append(body, ref...), '"', '}'), nil
}

// encodeObject writes an object as JSON, equal ones with equal bytes and numbers as they are.
func encodeObject(object map[string]any) ([]byte, error) {
	encoded, err := (&happyrobot.OutboundCall{Extra: object}).Encode()
	return encoded.Bytes(), err
}

// member is what is at a path of an object.
func member(object map[string]any, path []string) (value any, found bool) {
	value = object
	for _, name := range path {
		within, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, found = within[name]; !found {
			return nil, false
		}
	}
	return value, true
}

// withMember is an object with a value at a path. The object itself is not changed.
func withMember(object map[string]any, path []string, value any) (map[string]any, error) {
	changed := maps.Clone(object)
	if changed == nil {
		changed = map[string]any{}
	}
	if len(path) == 1 {
		changed[path[0]] = value
		return changed, nil
	}
	within, ok := object[path[0]].(map[string]any)
	if there := object[path[0]]; there != nil && !ok {
		return nil, fmt.Errorf("%s is no object, so it can have no member %s", path[0], path[1])
	}
	inner, err := withMember(within, path[1:], value)
	if err != nil {
		return nil, err
	}
	changed[path[0]] = inner
	return changed, nil
}

// withoutMember is an object without what is at a path. The object itself is not changed.
func withoutMember(object map[string]any, path []string) map[string]any {
	if _, found := member(object, path); !found {
		return object
	}
	changed := maps.Clone(object)
	if len(path) == 1 {
		delete(changed, path[0])
		return changed
	}
	changed[path[0]] = withoutMember(object[path[0]].(map[string]any), path[1:]) //nolint:forcetypeassert // member went through it
	return changed
}
