package boltfile

import (
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// The file was written by the first version that had this format. Its items with a TTL
// were given a century.
func TestAFileOfTheFirstVersionIsRead(t *testing.T) {
	path := oldFile(t)
	cache := openTest(t, atPath(path))
	other := openTest(t, atPath(path), inBucket("other"))
	for key, want := range map[string]string{"claimed": "once", "renewed": "second", "kept": "for good", "empty": "", "batch": "all"} {
		assertValue(t, cache, key, want)
		require.ErrorIs(t, cache.Add(t.Context(), key, nil, nil), store.ErrExists)
	}
	assertAbsent(t, cache, "deleted")
	assertValue(t, other, "kept", "elsewhere")
	assertAbsent(t, other, "claimed")
	require.NoError(t, cache.Set(t.Context(), "claimed", []byte("again"), nil))
	assertValue(t, cache, "claimed", "again")
	checkFile(t, cache)
}

func TestWhatExpiredInAFileOfTheFirstVersionGoesOnceTheClockIsTrusted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := &wrongClock{}
		system.set(30 * 365 * day) // years after the file was written
		cache := openTest(t, atPath(oldFile(t)), system.in)
		assertValue(t, cache, "expired", "gone")
		time.Sleep(steadyFor)
		assertAbsent(t, cache, "expired")
		assertValue(t, cache, "claimed", "once")
	})
}

func oldFile(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "old.db")
	packed, err := os.Open("testdata/format2.db.gz")
	require.NoError(t, err)
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	require.NoError(t, err)
	content, err := io.ReadAll(unpacked)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func TestABucketKeepsItsId(t *testing.T) {
	path := oldFile(t) // of a version that gave none
	cache, other := openTest(t, atPath(path)), openTest(t, atPath(path), inBucket("another"))
	id := cache.ID()
	assert.NotEmpty(t, id)
	assert.NotEqual(t, id, other.ID())
	closeTest(t, cache)
	closeTest(t, other)
	assert.Equal(t, id, openTest(t, atPath(path)).ID(), "of the same contents")
	assert.NotEqual(t, id, openTest(t).ID(), "of another file")
}

func TestWhatIsStoredStaysTheSameByteForByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // at the first moment of the year 2000
		cache := openTest(t)
		hour, twoHours := time.Hour, 2*time.Hour
		require.NoError(t, cache.Add(t.Context(), "claimed", []byte("1"), &hour))
		require.NoError(t, cache.Add(t.Context(), "renewed", []byte("1"), &hour))
		require.NoError(t, cache.Set(t.Context(), "renewed", []byte("2"), &twoHours))
		require.NoError(t, cache.Set(t.Context(), "kept", []byte("3"), nil))

		const oneAM, twoAM, never = "000000dc6b069a80", "000000dc6b3d8900", "0000000000000000"
		undated := func(ttl time.Duration) string {
			return fmt.Sprintf("%016x%016x", cache.file.shared.clock.now().period, uint64(ttl))
		}
		assert.Equal(t, map[string]map[string]string{
			"fresh": {
				"claimed": "02" + oneAM + oneAM + hex.EncodeToString([]byte("1")),
				"kept":    "02" + never + never + hex.EncodeToString([]byte("3")),
			},
			"records": {"renewed": "02" + twoAM + oneAM + hex.EncodeToString([]byte("2"))},
			"expiry":  {unhex(t, oneAM) + "claimed": "", unhex(t, oneAM) + "renewed": ""},
			"undated": {"claimed": undated(hour), "renewed": undated(twoHours)}, // the clock has not run for an hour
		}, allOf(t, cache))
	})
}

// allOf is what the trees of a bucket hold, the values in hexadecimal.
func allOf(t *testing.T, cache *Bucket) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	require.NoError(t, cache.file.shared.read(func(tx *bbolt.Tx) error {
		top := tx.Bucket([]byte("cache"))
		return top.ForEachBucket(func(name []byte) error {
			tree := map[string]string{}
			all[string(name)] = tree
			return top.Bucket(name).ForEach(func(key, stored []byte) error {
				tree[string(key)] = hex.EncodeToString(stored)
				return nil
			})
		})
	}))
	return all
}

func unhex(t *testing.T, digits string) string {
	t.Helper()
	b, err := hex.DecodeString(digits)
	require.NoError(t, err)
	return string(b)
}

func TestReturnsDamagedRecordsAsTheyAre(t *testing.T) {
	cache := openTest(t)
	damaged := map[string]string{
		"empty":          "",
		"only format":    "\x02",
		"cut short":      "\x02\x00\x00\x00\x01",
		"foreign":        "a plain value of some other program",
		"absurd expiry":  "\x02" + strings.Repeat("\xff", 8) + strings.Repeat("\x00", 8) + "value",
		"absurd place":   "\x02" + strings.Repeat("\x00", 8) + strings.Repeat("\xff", 8) + "value",
		"unknown format": "\x01" + strings.Repeat("\x00", 16) + "value",
	}
	trees := func(tx *bbolt.Tx) []*bbolt.Bucket {
		found := cache.name.open(tx)
		return []*bbolt.Bucket{found.fresh, found.records}
	}
	for which := range 2 {
		testDamagedRecords(t, cache, damaged, func(tx *bbolt.Tx) *bbolt.Bucket { return trees(tx)[which] })
	}
}

func testDamagedRecords(t *testing.T, cache *Bucket, damaged map[string]string, tree func(*bbolt.Tx) *bbolt.Bucket) {
	t.Helper()
	require.NoError(t, cache.file.shared.write(t.Context(), func(tx *bbolt.Tx) error {
		for key, stored := range damaged {
			if err := tree(tx).Put([]byte(key), []byte(stored)); err != nil {
				return err
			}
		}
		return nil
	}))
	for key, stored := range damaged {
		assertValue(t, cache, key, stored)
		require.ErrorIs(t, cache.Add(t.Context(), key, nil, nil), store.ErrExists, "%s: in doubt it is present", key)
		require.NoError(t, cache.Set(t.Context(), key, []byte("repaired"), nil))
		assertValue(t, cache, key, "repaired")
		require.NoError(t, cache.Delete(t.Context(), key))
		assertAbsent(t, cache, key)
	}
}
