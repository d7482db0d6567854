package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"

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
func callObject(call happyrobot.Call) (map[string]any, error) {
	object, err := structured(call.Raw)
	result, ok := object.(map[string]any)
	if err != nil || !ok {
		return nil, errors.New("the API's answer is not an object")
	}
	return result, nil
}

// addLasting adds the parts that stay as they are once the call is over, and says
// whether they are all there.
func (p *callParts) addLasting(ctx context.Context, call happyrobot.Call, over bool, result map[string]any) (complete bool, err error) {
	complete = over
	if slices.Contains(p.include, partTranscript) && over {
		transcript, err := p.api.GetTranscript(ctx, call.ID)
		switch {
		case happyrobot.IsNotFound(err), err == nil && len(transcript.Messages) == 0:
			complete = !call.Status.ExpectsTranscript()
		case err != nil:
			return false, err
		default:
			object, err := structured(transcript.Raw)
			if err != nil {
				return false, err
			}
			if t, ok := object.(map[string]any); ok {
				p.texts.add(t, transcript)
				result[partTranscript] = t
			}
		}
	}
	if slices.Contains(p.include, partLogs) {
		logs, err := p.api.GetCallLogs(ctx, call.ID)
		if err != nil && !happyrobot.IsNotFound(err) {
			return false, err
		}
		if err == nil {
			if result[partLogs], err = structured(logs); err != nil {
				return false, err
			}
		}
	}
	return complete, nil
}

// addRecording adds where the recording is. The URL expires, so it is asked for each time.
func (p *callParts) addRecording(ctx context.Context, id string, result map[string]any) error {
	if !slices.Contains(p.include, partRecording) {
		return nil
	}
	recording, err := p.api.GetRecording(ctx, id)
	if err == nil {
		result["recording_url"] = recording.URL
	} else if !happyrobot.IsNotFound(err) {
		return err
	}
	return nil
}
