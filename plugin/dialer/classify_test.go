package dialer

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func TestEachFailureIsWhatTheTableSays(t *testing.T) {
	for want, statuses := range map[verdict][]int{
		throttled: {429},
		setup:     {300, 301, 302, 307, 308, 401, 402, 403, 404, 405},
		refused:   {400, 406, 409, 410, 411, 413, 414, 415, 418, 422, 424, 431, 451},
		// 408 may come from a proxy whose API is still at work; an error with a
		// 2xx is a reply that could not be read.
		unknown: {0, 100, 200, 201, 204, 408, 500, 501, 502, 503, 504, 520, 599, 600, -1},
	} {
		for _, code := range statuses {
			assert.Equal(t, want, classify(status(code)), "status %d", code)
			assert.Equal(t, want, classify(fmt.Errorf("wrapped: %w", status(code))), "status %d, wrapped", code)
		}
	}
	assert.Equal(t, answered, classify(nil))
	assert.Equal(t, notSent, classify(neverSent(t)))
	assert.Equal(t, unknown, classify(lost), "bytes may have left")
	assert.Equal(t, unknown, classify(errors.New("of unknown kind")))
}

// A message fails, or is sent again, only where the status allows no doubt.
func FuzzClassify(f *testing.F) {
	for _, code := range []int{-1, 0, 99, 200, 204, 302, 400, 401, 404, 408, 422, 429, 499, 500, 503, 600} {
		f.Add(code, true)
		f.Add(code, false)
	}
	f.Fuzz(func(t *testing.T, code int, wrapped bool) {
		var err error = &happyrobot.Error{Status: code, Err: errors.New("cause")}
		if wrapped {
			err = fmt.Errorf("dialing: %w", err)
		}
		switch classify(err) {
		case answered, notSent:
			t.Errorf("status %d: an error after sending is no answer, and was sent", code)
		case throttled:
			assert.Equal(t, http.StatusTooManyRequests, code)
		case refused:
			assert.True(t, code >= 400 && code < 500, "status %d", code)
			assert.NotContains(t, []int{401, 402, 403, 404, 405, 408, 429}, code)
		case setup:
			assert.True(t, code >= 300 && code < 500, "status %d", code)
		case unknown:
			assert.True(t, code < 300 || code >= 500 || code == http.StatusRequestTimeout, "status %d", code)
		}
	})
}
