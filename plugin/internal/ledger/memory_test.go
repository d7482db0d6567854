package ledger

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func TestMemoryForgetsAValueWhenItsTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, hour := NewMemory(), time.Hour
		require.NoError(t, m.Add(t.Context(), "key", []byte("old"), &hour))
		require.ErrorIs(t, m.Add(t.Context(), "key", []byte("new"), &hour), store.ErrExists)
		time.Sleep(hour - time.Nanosecond)
		value, err := m.Get(t.Context(), "key")
		require.NoError(t, err)
		assert.Equal(t, "old", string(value))

		time.Sleep(time.Nanosecond)
		_, err = m.Get(t.Context(), "key")
		require.ErrorIs(t, err, store.ErrNotFound)
		assert.NoError(t, m.Add(t.Context(), "key", []byte("new"), &hour))
	})
}

func TestMemoryCountsTheTimeFromTheLastWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, hour := NewMemory(), time.Hour
		require.NoError(t, m.Add(t.Context(), "key", []byte("old"), &hour))
		time.Sleep(50 * time.Minute)
		require.NoError(t, m.Set(t.Context(), "key", []byte("new"), &hour))
		time.Sleep(50 * time.Minute)
		require.NoError(t, m.Set(t.Context(), "other", nil, &hour)) // sweeps
		value, err := m.Get(t.Context(), "key")
		require.NoError(t, err)
		assert.Equal(t, "new", string(value))
	})
}

func TestMemoryKeepsNothingThatHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, hour := NewMemory(), time.Hour
		for i := range 1000 {
			require.NoError(t, m.Add(t.Context(), fmt.Sprint(i), nil, &hour))
		}
		time.Sleep(hour)
		require.NoError(t, m.Add(t.Context(), "last", nil, &hour))
		assert.Len(t, m.entries, 1)
		assert.Same(t, m.oldest, m.newest)
	})
}

func TestMemoryKeepsAValueWithoutATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMemory()
		require.NoError(t, m.Set(t.Context(), "key", []byte("kept"), nil))
		time.Sleep(1000 * time.Hour)
		value, err := m.Get(t.Context(), "key")
		require.NoError(t, err)
		assert.Equal(t, "kept", string(value))
		require.NoError(t, m.Delete(t.Context(), "key"))
		require.NoError(t, m.Delete(t.Context(), "key"), "gone is what was wanted")
		_, err = m.Get(t.Context(), "key")
		assert.ErrorIs(t, err, store.ErrNotFound)
	})
}

func TestMemoryLetsOneOfManyAdd(t *testing.T) {
	m, hour := NewMemory(), time.Hour
	var added atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if m.Add(t.Context(), "key", nil, &hour) == nil {
				added.Add(1)
			}
		})
	}
	wg.Wait()
	assert.EqualValues(t, 1, added.Load())
}
