package store_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func TestAnOpenCacheStatesWhatItIs(t *testing.T) {
	mine := store.State(store.Facts{Data: "a", Exclusive: true})
	other := store.State(store.Facts{Data: "b", MayEvict: "it is small"})

	first, ok := store.FactsIn(mine.Answer())
	require.True(t, ok)
	assert.Equal(t, store.Facts{Data: "a", Exclusive: true}, first.Facts)
	second, ok := store.FactsIn(mine.Answer())
	require.True(t, ok)
	assert.Equal(t, first.Instance, second.Instance)
	assert.Greater(t, second.Answer, first.Answer, "an answer that a cache in front keeps is noticed")

	stated, ok := store.FactsIn(other.Answer())
	require.True(t, ok)
	assert.NotEqual(t, first.Instance, stated.Instance)
	assert.Equal(t, "it is small", stated.MayEvict)

	answer := mine.Answer()
	mine.Withdraw()
	mine.Withdraw()
	_, ok = store.FactsIn(answer)
	assert.False(t, ok, "a closed cache states nothing")
	other.Withdraw()
}

func TestOnlyACacheOfThisProcessIsBelieved(t *testing.T) {
	for _, answer := range []string{"", "/", "x/1", "x", "{}", "/1"} {
		_, ok := store.FactsIn([]byte(answer))
		assert.False(t, ok, answer)
	}
}
