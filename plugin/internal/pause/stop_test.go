package pause

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAStopEndsWaitsSoonButNotAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := NewStop()
		ctx, cancel := stop.Bound(t.Context())
		defer cancel()
		require.NoError(t, Sleep(ctx, time.Hour))

		began := time.Now()
		time.AfterFunc(time.Second, stop.Begin)
		require.ErrorIs(t, Sleep(ctx, time.Hour), errStopping)
		assert.Equal(t, time.Second+stopWaits, time.Since(began))

		late, cancelLate := stop.Bound(t.Context())
		require.NoError(t, Sleep(late, stopWaits/2), "what begins now may take as long")
		require.ErrorIs(t, Sleep(late, time.Hour), errStopping)
		cancelLate()
		assert.True(t, Stopping(late))

		var never *Stop
		other, cancelOther := never.Bound(t.Context())
		require.NoError(t, Sleep(other, time.Hour))
		cancelOther()
	})
}

func TestWhatIsFinishedAfterwardsKnowsThatItIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		after, done := Afterwards(ctx, time.Second)
		defer done()
		assert.False(t, Stopping(after))
		cancel()
		assert.True(t, Stopping(after))
		require.NoError(t, after.Err(), "there is a second left")
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Error(t, after.Err())
	})
}

// Others may take an error for more than "not yet": a fallback sends the messages on, and
// drop_on drops them.
func TestOnlyTheOutputOfAStreamIsStoppedEarly(t *testing.T) {
	assert.Same(t, Process, OfOutput([]string{"output"}))
	for _, path := range [][]string{
		{"output", "fallback", "0"}, {"output", "drop_on", "output"}, {"output", "switch", "0", "output"},
		{"output_resources"}, nil,
	} {
		assert.Nil(t, OfOutput(path), "%v", path)
		assert.False(t, OfOutput(path).Begun())
	}
}
