package plugin

import (
	"bytes"

	"github.com/Jeffail/gabs/v2"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// eventMessage makes the message of an event. The status of a hook's call is in the
// documented spelling; those of a CloudEvent are the platform's words.
func eventMessage(e happyrobot.Event, texts *transcriptTexts) *service.Message {
	status := e.Status
	if e.Kind == happyrobot.CallHook {
		status = string(happyrobot.Status(status).Canonical())
	}
	msg := service.NewMessage(withTranscript(e, texts))
	for name, value := range map[string]string{
		words.MetaEventKind: string(e.Kind), words.MetaEventType: e.Type, words.MetaEventID: e.ID, words.MetaCallStatus: status, words.MetaPreviousStatus: e.Previous,
		words.MetaCallID: e.CallID, words.MetaRunID: e.RunID, words.MetaSessionID: e.SessionID,
	} {
		if value != "" {
			msg.MetaSetMut(name, value)
		}
	}
	return msg
}

// withTranscript is an event as it came, byte for byte, with `transcript` as its last
// member where it carries the talk and has no such member of its own. The messages are
// not repeated there: they stay in content, and whoever drops content has dropped the
// prompts.
func withTranscript(e happyrobot.Event, texts *transcriptTexts) []byte {
	if e.Transcript == nil {
		return e.Raw
	}
	event, err := gabs.ParseJSON(e.Raw)
	end := bytes.LastIndexByte(e.Raw, '}')
	if err != nil || event.Exists(partTranscript) || end < 0 {
		return e.Raw
	}
	transcript := gabs.Wrap(map[string]any{"call_id": e.CallID})
	if texts.add(transcript, *e.Transcript) != nil {
		return e.Raw
	}
	added := gabs.Wrap(map[string]any{partTranscript: transcript.Data()}).Bytes()[1:] // without the brace that opens it
	whole := append(make([]byte, 0, len(e.Raw)+len(added)+1), e.Raw[:end]...)
	whole = append(append(whole, ','), added...)
	return append(whole, e.Raw[end+1:]...)
}
