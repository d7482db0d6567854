package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/Jeffail/gabs/v2"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// lookupFields say what is read of a call, and when.
func lookupFields() []*service.ConfigField {
	return append([]*service.ConfigField{
		includeField("What to read besides the call itself").
			Default([]any{partTranscript}),
	}, waitFields("call", map[string]string{
		waitNone:       "Take the call as it is.",
		waitFinished:   "Wait until the call is over.",
		waitTranscript: "Wait until the call is over and its transcript is there.",
	})...)
}

// callLookup reads calls and their parts, for a lookup.
type callLookup struct{ callParts }

func (l *callLookup) fromParsed(conf *service.ParsedConfig, res *service.Resources) error {
	if err := l.callParts.fromParsed(conf, res); err != nil {
		return err
	}
	wait, err := conf.FieldString(luFieldWait)
	if err == nil && strings.EqualFold(wait, waitTranscript) && !slices.Contains(l.include, partTranscript) {
		err = fmt.Errorf("%s: transcript needs transcript in %s", luFieldWait, fieldInclude)
	}
	return err
}

func (l *callLookup) over(result *gabs.Container) bool { return callStatus(result).Final() }

func (l *callLookup) missing(result *gabs.Container) string {
	if !l.over(result) {
		return "the end of the call is"
	}
	return "the transcript is"
}

// callStatus is the status of a call that was found, "" for none.
func callStatus(result *gabs.Container) happyrobot.Status {
	s, _ := result.S("status").Data().(string)
	return happyrobot.Status(s)
}

func (l *callLookup) read(ctx context.Context, id string) (*gabs.Container, bool, error) {
	call, err := l.api.GetCall(ctx, id)
	if err != nil {
		return nil, false, err
	}
	result, err := callObject(call)
	if err != nil {
		return nil, false, err
	}
	complete, err := l.addLasting(ctx, call, call.Status.Final(), result)
	return result, complete, err
}

func (l *callLookup) refresh(ctx context.Context, id string, result *gabs.Container) error {
	return l.addRecording(ctx, id, result)
}

// key names a finished call in the cache. Lookups that include different parts
// do not share an entry.
func (l *callLookup) key(id string) string {
	parts := slices.DeleteFunc(slices.Clone(l.include), func(p string) bool { return p == partRecording })
	slices.Sort(parts)
	return store.FlatName("happyrobot_call/1/" + strings.Join(slices.Compact(parts), "+") + "/" + id)
}

// usable refuses what earlier versions kept: whatever came, another call's transcript
// included. They made texts by other rules, too.
func (l *callLookup) usable(result *gabs.Container, id string) bool {
	if !isOf(result.S("id"), id) {
		return false
	}
	transcript := result.S(partTranscript)
	if !isObject(transcript) {
		return true
	}
	var known happyrobot.Transcript
	return isOf(transcript.S("call_id"), id) && json.Unmarshal(transcript.Bytes(), &known) == nil && l.texts.add(transcript, known) == nil
}
