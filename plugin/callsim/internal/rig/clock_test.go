package rig

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

// What was leapt over happened when it was leapt over.
func TestTheWallThatAReadingHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		r := New(Options{Speed: 60})
		time.Sleep(time.Second)
		r.Advance(time.Hour)
		time.Sleep(time.Second)
		r.Advance(time.Minute)
		time.Sleep(time.Second)
		r.Lock()
		defer r.Unlock()
		assert.Equal(t, time.Hour+4*time.Minute, r.Now())
		for reading, want := range map[time.Duration]time.Duration{
			0: 0, 30 * time.Second: 500 * time.Millisecond, time.Minute: time.Second, 31 * time.Minute: time.Second, time.Hour + time.Minute: time.Second,
			time.Hour + 90*time.Second: 1500 * time.Millisecond, time.Hour + 150*time.Second: 2 * time.Second, time.Hour + 210*time.Second: 2500 * time.Millisecond,
		} {
			assert.WithinDuration(t, began.Add(want), r.Wall(reading), time.Millisecond, "%v", reading)
		}
	})
}
