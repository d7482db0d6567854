package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/Jeffail/gabs/v2"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

const fieldInclude = "include"

// Parts of a call that are read apart from it.
const (
	partTranscript = "transcript"
	partRecording  = "recording"
	partLogs       = "logs"
)

// callParts reads what belongs to a call.
type callParts struct {
	api     *happyrobot.Client
	include []string
	texts   *transcriptTexts
}

func includeField(what string) *service.ConfigField {
	return service.NewStringListField(fieldInclude).
		Description(what + ": `transcript`, `recording`, `logs`. The paths of recordings and logs are not documented by the API.").
		LintRule(`root = if this.type() != "array" && !["transcript","recording","logs"].contains(this) { [ "` + "`include`" + ` can hold transcript, recording and logs" ] }`)
}

func (p *callParts) fromParsed(conf *service.ParsedConfig, res *service.Resources) (err error) {
	p.texts = newTranscriptTexts(res, "transcript.messages")
	if p.include, err = conf.FieldStringList(fieldInclude); err != nil {
		return err
	}
	for _, part := range p.include {
		if part != partTranscript && part != partRecording && part != partLogs {
			return fmt.Errorf("%s: %q is not one of transcript, recording, logs", fieldInclude, part)
		}
	}
	return nil
}

// callObject is a call as the API reports it.
func callObject(call happyrobot.Call) (*gabs.Container, error) { return jsonObject(call.Raw) }

// jsonObject parses a JSON object, which is the caller's to change.
func jsonObject(raw []byte) (*gabs.Container, error) {
	parsed, err := structured(raw)
	object := gabs.Wrap(parsed)
	if err != nil || !isObject(object) {
		return nil, errors.New("the API's answer is not an object")
	}
	return object, nil
}

func isObject(value *gabs.Container) bool {
	_, is := value.Data().(map[string]any)
	return is
}

// addLasting adds the parts that stay as they are once the call is over, and says
// whether they are all there.
func (p *callParts) addLasting(ctx context.Context, call happyrobot.Call, over bool, result *gabs.Container) (complete bool, err error) {
	complete = over
	if slices.Contains(p.include, partTranscript) && over {
		if complete, err = p.addTranscript(ctx, call, result); err != nil {
			return false, err
		}
	}
	if slices.Contains(p.include, partLogs) {
		if err := p.addLogs(ctx, call.ID, result); err != nil {
			return false, err
		}
	}
	return complete, nil
}

// addTranscript says whether the transcript is there, or is not to be waited for.
func (p *callParts) addTranscript(ctx context.Context, call happyrobot.Call, result *gabs.Container) (complete bool, err error) {
	transcript, err := p.api.GetTranscript(ctx, call.ID)
	switch {
	case happyrobot.IsNotFound(err), err == nil && len(transcript.Messages) == 0:
		return !call.Status.ExpectsTranscript(), nil
	case err != nil:
		return false, err
	}
	object, err := jsonObject(transcript.Raw)
	if err != nil {
		return false, err
	}
	if err := p.texts.add(object, transcript); err != nil {
		return false, err
	}
	_, err = result.Set(object.Data(), partTranscript)
	return true, err
}

// addLogs adds what the call's log has, in whatever form the API has it.
func (p *callParts) addLogs(ctx context.Context, id string, result *gabs.Container) error {
	raw, err := p.api.GetCallLogs(ctx, id)
	if happyrobot.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	logs, err := structured(raw)
	if err != nil {
		return err
	}
	_, err = result.Set(logs, partLogs)
	return err
}

// addRecording adds where the recording is. The URL expires, so it is asked for each time.
func (p *callParts) addRecording(ctx context.Context, id string, result *gabs.Container) error {
	if !slices.Contains(p.include, partRecording) {
		return nil
	}
	recording, err := p.api.GetRecording(ctx, id)
	if happyrobot.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = result.Set(recording.URL, "recording_url")
	return err
}
