package happyrobot_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// stream answers 200 with a body of blanks of so many MiB, then the rest. It
// counts the requests.
func stream(t *testing.T, mib int, rest string) (url string, requests *atomic.Int32) {
	t.Helper()
	requests = new(atomic.Int32)
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = ' '
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		for range mib {
			if _, err := w.Write(block); err != nil {
				return // the client has read enough
			}
		}
		_, _ = io.WriteString(w, rest)
	}))
	t.Cleanup(srv.Close)
	return srv.URL, requests
}

func TestADialsReplyThatIsTooLargeIsAnErrorNotACut(t *testing.T) {
	url, requests := stream(t, 32, "[]")
	created, err := newClient(t, url, nil).CreateOutboundCalls(t.Context(), oneCall())
	var e *happyrobot.Error
	require.ErrorAs(t, err, &e)
	require.ErrorContains(t, err, "larger than 32 MiB")
	assert.Equal(t, 200, e.Status)
	assert.NotEqual(t, happyrobot.ClassNotSent, e.Class())
	assert.Nil(t, created)
	assert.EqualValues(t, 1, requests.Load())
}

func TestAReplyOfExactlyTheLimitIsRead(t *testing.T) {
	url, _ := stream(t, 7, pad(1<<20, aCall))
	call, err := newClient(t, url, nil).GetCall(t.Context(), callID)
	require.NoError(t, err)
	assert.Equal(t, callID, call.ID)
}

func TestAReadsReplyThatIsTooLargeIsAnError(t *testing.T) {
	url, _ := stream(t, 7, pad(1<<20+1, aCall))
	_, err := newClient(t, url, nil).GetCall(t.Context(), callID)
	assert.ErrorContains(t, err, "larger than 8 MiB")
}

// pad fills JSON up with blanks in front.
func pad(size int, json string) string {
	b := make([]byte, size-len(json))
	for i := range b {
		b[i] = ' '
	}
	return string(b) + json
}
