package store_test

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// files is a store that makes a file of each key, as Benthos' file cache: a slash needs a
// folder, and no file is one.
type files struct {
	plain
	folders map[string]bool
}

var errNoFolder = errors.New("not a directory")

func (f files) at(key string) error {
	for i, c := range key {
		if c != '/' || f.folders[key[:i]] {
			continue
		}
		if _, isFile := f.plain[key[:i]]; isFile {
			return errNoFolder
		}
		return store.ErrNotFound
	}
	return nil
}

func (f files) Get(ctx context.Context, key string) ([]byte, error) {
	if err := f.at(key); err != nil {
		return nil, err
	}
	return f.plain.Get(ctx, key)
}

func (f files) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if f.at(key) != nil {
		return errNoFolder
	}
	return f.plain.Set(ctx, key, value, ttl)
}

func (f files) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if f.at(key) != nil {
		return errNoFolder
	}
	return f.plain.Add(ctx, key, value, ttl)
}

// noop forgets everything, as Benthos' own.
type noop struct{ plain }

func (noop) Get(context.Context, string) ([]byte, error) { return nil, store.ErrNotFound }

func (noop) Add(context.Context, string, []byte, *time.Duration) error { return nil }

// lenient adds what is there.
type lenient struct{ plain }

func (l lenient) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return l.Set(ctx, key, value, ttl)
}

// wordy has its own words for a key that is there.
type wordy struct{ plain }

var errDuplicate = errors.New("duplicate key value violates unique constraint")

func (w wordy) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if w.plain.Add(ctx, key, value, ttl) != nil {
		return errDuplicate
	}
	return nil
}

// dated takes a TTL of more than 30 days for a date that is over, as memcached.
type dated struct{ plain }

func (d dated) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if *ttl > 30*24*time.Hour {
		return d.Delete(ctx, key)
	}
	return d.plain.Set(ctx, key, value, ttl)
}

func (d dated) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if _, err := d.Get(ctx, key); err == nil {
		return store.ErrExists
	}
	return d.Set(ctx, key, value, ttl)
}

func ledgerTrial(window time.Duration) store.Trial {
	return store.Trial{
		Names: "names", TTL: &window, Adds: true,
		Forms: func(name string) []string { return []string{name, name + "/2"} },
	}
}

func TestACacheIsTriedOut(t *testing.T) {
	week := 7 * 24 * time.Hour
	for name, tc := range map[string]struct {
		cache  store.Store
		window time.Duration
		want   store.Finding
		left   plain
	}{
		"any":                     {plain{}, week, store.Finding{}, plain{}},
		"files":                   {files{plain: plain{}}, week, store.Finding{Flat: true}, plain{"names": []byte("flat")}},
		"its own words":           {wordy{plain{}}, week, store.Finding{}, plain{}},
		"it forgets everything":   {noop{plain{}}, week, store.Finding{Unfit: "it adds a key that it has already"}, plain{}},
		"it adds what is there":   {lenient{plain{}}, week, store.Finding{Unfit: "it adds a key that it has already"}, plain{}},
		"the TTL is understood":   {dated{plain{}}, week, store.Finding{}, plain{}},
		"the TTL is taken amiss":  {dated{plain{}}, 9 * week, store.Finding{Unfit: "it adds a key that it has already"}, plain{}},
		"found flat another time": {plain{"names": []byte("flat")}, week, store.Finding{Flat: true}, plain{"names": []byte("flat")}},
	} {
		found, err := ledgerTrial(tc.window).Run(t.Context(), tc.cache)
		require.NoError(t, err, name)
		assert.Equal(t, tc.want, found, name)
		assert.Equal(t, tc.left, contents(tc.cache), name)
	}
}

func contents(s store.Store) plain {
	switch s := s.(type) {
	case plain:
		return s
	case files:
		return s.plain
	case noop:
		return s.plain
	case lenient:
		return s.plain
	case wordy:
		return s.plain
	case dated:
		return s.plain
	}
	return nil
}

func TestACursorGoesWhereItsFolderIs(t *testing.T) {
	cursor := store.Trial{Names: "names", Forms: func(name string) []string { return []string{"calls/" + name} }}
	cache := files{plain: plain{}, folders: map[string]bool{"calls": true}}
	found, err := cursor.Run(t.Context(), cache)
	require.NoError(t, err)
	assert.Equal(t, store.Finding{}, found, "a folder that somebody made is used")

	cache = files{plain: plain{}, folders: map[string]bool{}}
	for _, folder := range []bool{false, true} {
		cache.folders["calls"] = folder
		found, err = cursor.Run(t.Context(), cache)
		require.NoError(t, err)
		assert.Equal(t, store.Finding{Flat: true}, found, "a folder that comes later hides no cursor")
	}

	found, err = cursor.Run(t.Context(), noop{plain{}})
	require.NoError(t, err)
	assert.Equal(t, "it does not give back what was written, as consistent reads do", found.Unfit)
}

// replicated answers some reads of each value as it was before.
type replicated struct {
	plain
	late map[string]int // reads of a key since it was written
	lag  int
}

func (r replicated) Get(ctx context.Context, key string) ([]byte, error) {
	if r.late[key]++; r.late[key] <= r.lag {
		return nil, store.ErrNotFound
	}
	return r.plain.Get(ctx, key)
}

func (r replicated) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	r.late[key] = 0
	return r.plain.Set(ctx, key, value, ttl)
}

func TestAReadThatIsLateRefusesNoCache(t *testing.T) {
	for lag, unfit := range map[int]string{4: "", 5: "it does not give back what was written, as consistent reads do"} {
		synctest.Test(t, func(t *testing.T) {
			week := 7 * 24 * time.Hour
			found, err := ledgerTrial(week).Run(t.Context(), replicated{plain: plain{}, late: map[string]int{}, lag: lag})
			require.NoError(t, err)
			assert.Equal(t, store.Finding{Unfit: unfit}, found, "%d late reads", lag)
		})
	}
}

var errLost = errors.New("the connection was lost")

// lossy loses operations, before or after they took effect.
type lossy struct {
	plain
	rate float64
}

func (l lossy) lost() bool { return rand.Float64() < l.rate }

func (l lossy) Get(ctx context.Context, key string) ([]byte, error) {
	if l.lost() {
		return nil, errLost
	}
	return l.plain.Get(ctx, key)
}

func (l lossy) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if l.lost() {
		return errLost
	}
	err := l.plain.Set(ctx, key, value, ttl)
	if l.lost() {
		return errLost
	}
	return err
}

func (l lossy) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	if l.lost() {
		return errLost
	}
	err := l.plain.Add(ctx, key, value, ttl)
	if l.lost() {
		return errLost
	}
	return err
}

// Names must not change because of an outage, and a good cache is never called unfit.
func TestTroubleIsNoFinding(t *testing.T) {
	for range 2000 {
		for _, cache := range []lossy{{plain{}, 0.03}, {plain{}, 0.3}, {plain{}, 1}} {
			found, err := ledgerTrial(time.Hour).Run(t.Context(), cache)
			assert.Equal(t, store.Finding{}, found)
			if err != nil {
				require.ErrorIs(t, err, errLost)
			}
			assert.NotContains(t, maps.Clone(cache.plain), "names")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := ledgerTrial(time.Hour).Run(ctx, lossy{plain{}, 1})
	assert.Error(t, err)
}

func TestFlatNamesDiffer(t *testing.T) {
	assert.Equal(t, "0f.2", store.FlatName("0f/2"))
	assert.Equal(t, "happyrobot_webhook.1.0f", store.FlatName("happyrobot_webhook/1/0f"))
	assert.Equal(t, "0f", store.FlatName("0f"))
}

func TestACacheIsMarked(t *testing.T) {
	cache, other := plain{}, plain{}
	mark, err := store.Mark(t.Context(), cache)
	require.NoError(t, err)
	again, err := store.Mark(t.Context(), cache)
	require.NoError(t, err)
	assert.Equal(t, mark, again)
	second, err := store.Mark(t.Context(), other)
	require.NoError(t, err)
	assert.NotEqual(t, mark, second)

	delete(cache, store.MarkKey)
	require.NoError(t, store.KeepMark(t.Context(), cache, mark))
	again, err = store.Mark(t.Context(), cache)
	require.NoError(t, err)
	assert.Equal(t, mark, again)

	cache[store.MarkKey] = nil // its writer was killed
	again, err = store.Mark(t.Context(), cache)
	require.NoError(t, err)
	assert.NotEqual(t, mark, again)
	mark, err = store.Mark(t.Context(), cache)
	require.NoError(t, err)
	assert.Equal(t, again, mark)

	_, err = store.Mark(t.Context(), lossy{plain{}, 1})
	require.ErrorIs(t, err, errLost)
	_, err = store.Mark(t.Context(), wordy{plain{store.MarkKey: []byte(mark)}})
	assert.NoError(t, err)
}
