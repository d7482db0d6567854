package ledger

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAFirstSightingIsRememberedWhileItIsAskedForAndThenFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := sightings{keep: lease}
		began := time.Now()
		for range 20 {
			assert.Equal(t, began, s.first("waits", []byte("claim"), time.Now()), "however long it waits")
			time.Sleep(lease / 2)
		}
		assert.Equal(t, time.Now(), s.first("waits", []byte("another claim"), time.Now()), "a record that was written anew is another")
		assert.Equal(t, time.Now(), s.first("other", []byte("claim"), time.Now()), "so is one under another key")

		for n := range 1000 {
			s.first(fmt.Sprint("lead", n), nil, time.Now())
		}
		for range 3 {
			time.Sleep(lease + 1)
			s.first("waits", []byte("claim"), time.Now())
		}
		assert.Less(t, len(s.recent)+len(s.before), 5, "what nobody asks for is forgotten")
	})
}
