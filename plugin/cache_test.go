package plugin

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func TestACacheResourceIsAStore(t *testing.T) {
	t.Parallel()
	res := service.MockResources(service.MockResourcesOptAddCache("book"))
	book := cacheResource{res: res, label: "book"}
	_, err := book.Get(t.Context(), "key")
	require.ErrorIs(t, err, store.ErrNotFound)
	require.NoError(t, book.Delete(t.Context(), "key"), "an absent key is gone already")
	require.NoError(t, book.Add(t.Context(), "key", []byte("one"), nil))
	require.ErrorIs(t, book.Add(t.Context(), "key", []byte("two"), nil), store.ErrExists)
	require.NoError(t, book.Set(t.Context(), "key", []byte("three"), nil))
	value, err := book.Get(t.Context(), "key")
	require.NoError(t, err)
	assert.Equal(t, "three", string(value))
	require.NoError(t, book.Delete(t.Context(), "key"))
	require.NoError(t, book.Add(t.Context(), "key", []byte("four"), nil))

	_, err = cacheResource{res: res, label: "absent"}.Get(t.Context(), "key")
	assert.ErrorContains(t, err, `"absent"`)
}
