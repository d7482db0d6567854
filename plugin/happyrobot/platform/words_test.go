package platform_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

func TestWordsOfRunsAreKnownInAnySpelling(t *testing.T) {
	for word, want := range map[platform.RunStatus]struct{ known, over bool }{
		"completed": {true, true}, "failed": {true, true}, "canceled": {true, true}, "succeeded": {true, true}, "skipped": {true, true},
		"scheduled": {true, false}, "running": {true, false}, "not_started": {true, false},
		"Cancelled": {true, true}, " COMPLETED ": {true, true}, "not started": {true, false}, "Not-Started": {true, false},
		"": {}, "paused": {}, "done": {},
	} {
		assert.Equal(t, want.known, word.Known(), word)
		assert.Equal(t, want.over, word.Over(), word)
		if !want.known {
			assert.Equal(t, word, word.Canonical(), "an unknown word survives")
		}
	}
	assert.True(t, platform.RunStatus("Cancelled").Is("canceled"))
	assert.False(t, platform.RunStatus("").Is("-"))
}

func TestWordsOfSessionsAreKnownInAnySpelling(t *testing.T) {
	for word, want := range map[platform.SessionStatus]struct{ known, over bool }{
		"completed": {true, true}, "busy": {true, true}, "missed": {true, true}, "voicemail": {true, true}, "failed": {true, true}, "canceled": {true, true},
		"queued": {true, false}, "in-progress": {true, false}, "in_progress": {true, false}, "In Progress": {true, false}, "Voice-mail": {true, true}, "cancelled": {true, true},
		"": {}, "ringing": {},
	} {
		assert.Equal(t, want.known, word.Known(), word)
		assert.Equal(t, want.over, word.Over(), word)
	}
	assert.Equal(t, platform.SessionInProgress, platform.SessionStatus("in progress").Canonical())
	assert.True(t, platform.Environment(" Production").In([]platform.Environment{platform.Production}))
	assert.False(t, platform.Environment("").In([]platform.Environment{platform.Production}))
}
