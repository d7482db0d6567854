package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

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

// plain is a store of one map; ours answers for a statement in front of it.
type plain map[string][]byte

func (p plain) Get(_ context.Context, key string) ([]byte, error) {
	value, ok := p[key]
	if !ok {
		return nil, store.ErrNotFound
	}
	return value, nil
}

func (p plain) Set(_ context.Context, key string, value []byte, _ *time.Duration) error {
	p[key] = value
	return nil
}

func (p plain) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if _, ok := p[key]; ok {
		return store.ErrExists
	}
	return p.Set(ctx, key, value, ttl)
}

func (p plain) Delete(_ context.Context, key string) error {
	delete(p, key)
	return nil
}

type ours struct {
	plain
	facts *store.Statement
	away  error
	adds  bool // the key is added like any other
}

func (o *ours) Get(ctx context.Context, key string) ([]byte, error) {
	switch {
	case o.away != nil:
		return nil, o.away
	case key == store.FactsKey:
		return o.facts.Answer(), nil
	}
	return o.plain.Get(ctx, key)
}

func (o *ours) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if key == store.FactsKey && !o.adds {
		return store.ErrExists
	}
	return o.plain.Add(ctx, key, value, ttl)
}

// levels is a cache of caches, as Benthos' multilevel: what a lower one has, the upper
// ones keep, and an item is added to the lowest unless an upper one has it.
type levels []store.Store

func (l levels) Get(ctx context.Context, key string) ([]byte, error) {
	for i, s := range l {
		value, err := s.Get(ctx, key)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		for _, above := range l[:i] {
			_ = above.Set(ctx, key, value, nil)
		}
		return value, err
	}
	return nil, store.ErrNotFound
}

func (l levels) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	for _, s := range l {
		_ = s.Set(ctx, key, value, ttl)
	}
	return nil
}

func (l levels) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	for _, s := range l[:len(l)-1] {
		if _, err := s.Get(ctx, key); !errors.Is(err, store.ErrNotFound) {
			return store.ErrExists
		}
	}
	return l[len(l)-1].Add(ctx, key, value, ttl)
}

func (l levels) Delete(context.Context, string) error { return nil }

func TestACacheIsAskedWhatItIs(t *testing.T) {
	mine := &ours{plain: plain{}, facts: store.State(store.Facts{Data: "a"})}
	stored := &ours{plain: plain{}, facts: mine.facts, adds: true}
	other := &ours{plain: plain{}, facts: store.State(store.Facts{Data: "b"})}
	foreign := plain{}
	for name, tc := range map[string]struct {
		cache store.Store
		ours  bool
	}{
		"ours":                        {mine, true},
		"ours, and it adds any key":   {stored, true},
		"foreign":                     {foreign, false},
		"ours behind a foreign one":   {levels{plain{}, mine}, false},
		"ours in front of a foreign":  {levels{mine, foreign}, false},
		"ours in front of ours":       {levels{mine, other}, false},
		"ours in the middle":          {levels{plain{}, mine, plain{}}, false},
		"an answer from another time": {plain{store.FactsKey: []byte("GONE/7")}, false},
	} {
		facts, believed, err := store.Ask(t.Context(), tc.cache)
		require.NoError(t, err, name)
		assert.Equal(t, tc.ours, believed, name)
		if tc.ours {
			assert.Equal(t, "a", facts.Data, name)
			assert.True(t, facts.Stands(), name)
		}
	}
	assert.Empty(t, foreign, "nothing is stored in a cache that is not ours")

	facts, _, err := store.Ask(t.Context(), mine)
	require.NoError(t, err)
	mine.facts.Withdraw()
	assert.False(t, facts.Stands(), "it is closed")
	_, believed, err := store.Ask(t.Context(), mine)
	require.NoError(t, err)
	assert.False(t, believed)

	other.away = errors.New("away")
	_, _, err = store.Ask(t.Context(), other)
	assert.ErrorIs(t, err, other.away, "a cache that is away may be any")
}

func TestManyAskAtTheSameTime(t *testing.T) {
	mine := &ours{plain: plain{}, facts: store.State(store.Facts{})}
	defer mine.facts.Withdraw()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 20 {
				_, believed, err := store.Ask(t.Context(), mine)
				assert.NoError(t, err) //nolint:testifylint // not the test's goroutine
				assert.True(t, believed)
			}
		})
	}
	all.Wait()
}
