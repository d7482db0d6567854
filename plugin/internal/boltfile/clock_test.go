package boltfile

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

const day = 24 * time.Hour

// wrongClock is a system clock that is off by as much as a test says.
type wrongClock struct{ off atomic.Int64 }

func (w *wrongClock) now() time.Time            { return time.Now().Add(time.Duration(w.off.Load())) }
func (w *wrongClock) set(off time.Duration)     { w.off.Store(int64(off)) }
func (w *wrongClock) in(c *testConfig)          { c.wall = w.now }
func (w *wrongClock) onThe(c *testConfig)       { c.defaultTTL = 7 * day }
func (w *wrongClock) both() []func(*testConfig) { return []func(*testConfig){w.in, w.onThe} }

// assertKept says that a record counts, and is still there.
func assertKept(t *testing.T, cache *Bucket, key string) {
	t.Helper()
	assertValue(t, cache, key, "1")
	require.ErrorIs(t, cache.Add(t.Context(), key, []byte("2"), nil), store.ErrExists)
	require.ErrorIs(t, cache.AddAll(t.Context(), []store.Item{{Key: key}})[0], store.ErrExists)
}

func set(t *testing.T, cache *Bucket, keys ...string) {
	t.Helper()
	for _, key := range keys {
		require.NoError(t, cache.Set(t.Context(), key, []byte("1"), nil))
	}
}

// steadyDays is a file in use with a right clock.
func steadyDays(t *testing.T, cache *Bucket, days int) {
	t.Helper()
	for range days {
		time.Sleep(day)
		set(t, cache, "now and then")
	}
}

func TestAClockThatJumpsErasesNothing(t *testing.T) {
	for name, jumps := range map[string][]time.Duration{
		"ahead for 13 seconds": {8 * day, 0},
		"ahead and behind":     {8 * day, -8 * day, 3000 * day, 0},
		"back and ahead again": {-8 * day, 0},
		"by two minutes":       {2 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				system, log := &wrongClock{}, &told{}
				cache := openTest(t, append(system.both(), func(c *testConfig) { c.log = log })...)
				set(t, cache, "lead")
				steadyDays(t, cache, 6)
				set(t, cache, "another")
				log.forget()
				for _, off := range jumps {
					system.set(off)
					set(t, cache, off.String())
					for range 13 {
						assertKept(t, cache, "lead")
						assertKept(t, cache, "another")
						time.Sleep(time.Second)
					}
				}
				said := fmt.Sprint(log.all()) // also of a rewrite, which is due at the same moment
				assert.Regexp(t, "WARN System clock jumped by .*: no record of .* expires until the clock has been steady for an hour", said)
				time.Sleep(2 * time.Hour)
				assertKept(t, cache, "lead")
				for _, off := range jumps {
					assertKept(t, cache, off.String())
				}
				steadyDays(t, cache, 1) // seven days after it was written
				assertAbsent(t, cache, "lead")
				assertKept(t, cache, "another")
				steadyDays(t, cache, 7)
				assertAbsent(t, cache, "another")
				for _, off := range jumps {
					assertAbsent(t, cache, off.String())
				}
				assert.Equal(t, [2]int{1, 1}, storedRecords(t, cache), "everything else is removed")
			})
		})
	}
}

func TestAWrongClockAtTheStartErasesNothing(t *testing.T) {
	for name, off := range map[string]time.Duration{"ahead": 8 * day, "behind": -8 * day, "years behind": -3000 * day, "years ahead": 3000 * day} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				system, right := &wrongClock{}, &wrongClock{}
				cache := openTest(t, right.both()...)
				path := cache.file.shared.path
				set(t, cache, "lead")
				steadyDays(t, cache, 1)
				set(t, cache, "last")
				closeTest(t, cache)

				for range 3 { // it starts again and again, and writes each time
					system.set(off)
					cache = openTest(t, append(system.both(), atPath(path))...)
					assertKept(t, cache, "lead")
					set(t, cache, "written by the wrong clock")
					time.Sleep(13 * time.Second)
					assertKept(t, cache, "lead")
					closeTest(t, cache)
				}
				cache = openTest(t, append(right.both(), atPath(path))...)
				assertKept(t, cache, "lead")
				assertKept(t, cache, "written by the wrong clock")
				steadyDays(t, cache, 5)
				assertKept(t, cache, "lead")
				assertKept(t, cache, "written by the wrong clock")
				steadyDays(t, cache, 1)
				assertAbsent(t, cache, "lead")
				assertKept(t, cache, "written by the wrong clock")
				steadyDays(t, cache, 1)
				time.Sleep(2 * time.Hour)
				assertAbsent(t, cache, "written by the wrong clock")
				assertAbsent(t, cache, "last")
			})
		})
	}
}

// It is corrected while the program runs, as it is where a host starts without a battery.
func TestWhatAClockThatIsBehindWroteIsKeptForItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := &wrongClock{}
		system.set(-9000 * day)
		cache := openTest(t, system.both()...)
		set(t, cache, "lead")
		time.Sleep(time.Minute)
		system.set(0)
		for range 7*24 - 1 {
			assertKept(t, cache, "lead")
			time.Sleep(time.Hour)
		}
		time.Sleep(3 * time.Hour)
		assertAbsent(t, cache, "lead")
	})
}

// A clock that is steady is trusted, whatever it shows.
func TestWhatAWrongClockWroteThatWasTrustedIsKeptForItsTTL(t *testing.T) {
	for name, off := range map[string]time.Duration{"days behind": -8 * day, "behind by less than the TTL": -3 * day, "years behind": -9000 * day} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				system := &wrongClock{}
				system.set(off)
				cache := openTest(t, system.both()...)
				path := cache.file.shared.path
				steadyDays(t, cache, 1)
				set(t, cache, "lead")
				time.Sleep(time.Minute)
				system.set(0)
				time.Sleep(2 * watchInterval)
				closeTest(t, cache) // what is known of the jump is in the file
				cache = openTest(t, append(system.both(), atPath(path))...)
				for range 7*24 - 1 {
					assertKept(t, cache, "lead")
					time.Sleep(time.Hour)
				}
				set(t, cache, "later")
				time.Sleep(2 * time.Hour)
				assertAbsent(t, cache, "lead")
				time.Sleep(7*day - 4*time.Hour)
				assertKept(t, cache, "later")
				time.Sleep(4 * time.Hour)
				assertAbsent(t, cache, "later")
				assert.Equal(t, [2]int{0, 0}, storedRecords(t, cache))
			})
		})
	}
}

func TestAWriteRightAfterAJumpKeepsTheJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := &wrongClock{}
		system.set(-8 * day)
		cache := openTest(t, system.both()...)
		steadyDays(t, cache, 1)
		set(t, cache, "lead")
		system.set(0)
		set(t, cache, "another")
		require.NoError(t, cache.file.shared.read(func(tx *bbolt.Tx) error {
			assert.Len(t, readJumps(cache.name.open(tx).top.Get(jumpsKey)), 1)
			return nil
		}))
	})
}

func TestManyJumpsTakeNoTimeAwayFromWhatWasWrittenBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := &wrongClock{}
		cache := openTest(t, system.both()...)
		steadyDays(t, cache, 1)
		set(t, cache, "lead")
		for range 2 * maxJumps {
			time.Sleep(time.Minute)
			system.set(8 * day)
			_, _ = cache.Get(t.Context(), "lead")
			time.Sleep(time.Minute)
			system.set(0)
			_, _ = cache.Get(t.Context(), "lead")
		}
		system.set(8 * day) // and stays
		for range 7*24 - 6 {
			assertKept(t, cache, "lead")
			time.Sleep(time.Hour)
		}
		require.NoError(t, cache.file.shared.read(func(tx *bbolt.Tx) error {
			assert.Len(t, readJumps(cache.name.open(tx).top.Get(jumpsKey)), maxJumps)
			return nil
		}))
	})
}

func TestARestartWithinAnHourKeepsTheTrustInTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system := &wrongClock{}
		cache := openTest(t, system.both()...)
		path := cache.file.shared.path
		set(t, cache, "old")
		steadyDays(t, cache, 6)
		set(t, cache, "newest")
		closeTest(t, cache)
		time.Sleep(59 * time.Minute)
		log := &told{}
		cache = openTest(t, append(system.both(), atPath(path), func(c *testConfig) { c.log = log })...)
		assert.Contains(t, log.all(), "INFO Cache file opened: bucket \"cache\" of \""+path+"\" has 3 records; the newest was written 59m0s ago, at 2000-01-07T00:00:00Z.")
		time.Sleep(23*time.Hour + time.Minute)
		assertAbsent(t, cache, "old")
		assertKept(t, cache, "newest")
		closeTest(t, cache)

		time.Sleep(8 * day) // which may also be a clock that is ahead
		cache = openTest(t, append(system.both(), atPath(path))...)
		assertKept(t, cache, "newest")
		time.Sleep(steadyFor)
		assertAbsent(t, cache, "newest")
	})
}

func TestAShortTTLIsKeptFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		system, brief := &wrongClock{}, time.Minute
		path := filepath.Join(t.TempDir(), "dedupe.db")
		cache := openTest(t, append(system.both(), atPath(path))...)
		require.NoError(t, cache.Set(t.Context(), "a", []byte("1"), &brief))
		require.NoError(t, cache.Set(t.Context(), "b", []byte("1"), &brief))
		time.Sleep(brief)
		assertAbsent(t, cache, "a")
		require.NoError(t, cache.Add(t.Context(), "a", []byte("1"), &brief), "of this period the age is known")
		closeTest(t, cache)
		time.Sleep(brief)
		cache = openTest(t, append(system.both(), atPath(path))...)
		assertAbsent(t, cache, "a")
		assertAbsent(t, cache, "b")
	})
}
