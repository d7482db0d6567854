package kafka

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheMarkStopsAtTheFirstRecordThatIsNotDone(t *testing.T) {
	var o offsets
	_, any := o.committable()
	assert.False(t, any, "nothing is done, so there is nothing to commit")

	first, second, third := o.handOut(4, 1), o.handOut(9, 1), o.handOut(17, 2)
	o.finish(second)
	_, any = o.committable()
	assert.False(t, any)

	o.finish(first)
	at, any := o.committable()
	assert.True(t, any)
	assert.Equal(t, mark{offset: 10, epoch: 1}, at, "the second was done already")

	o.finish(third)
	at, _ = o.committable()
	assert.Equal(t, mark{offset: 18, epoch: 2}, at)
}

// The naive model keeps each offset and whether it is done, and looks for the first that
// is not.
func TestTheMarkIsThatOfANaiveModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var o offsets
		var spans []*span
		type record struct {
			offset int64
			epoch  int32
			of     *span
		}
		var log []record
		done := map[*span]bool{}
		offset, epoch := rng.Int64N(1000), int32(0)
		for step := range 200 {
			if rng.IntN(2) == 0 || len(spans) == 0 {
				epoch += int32(rng.IntN(2))
				n := 1 + rng.IntN(4)
				var records []record
				for range n {
					records = append(records, record{offset: offset, epoch: epoch})
					offset += 1 + rng.Int64N(3)*rng.Int64N(2) // compaction leaves gaps
				}
				s := o.handOut(records[n-1].offset, epoch)
				for i := range records {
					records[i].of = s
				}
				log = append(log, records...)
				spans = append(spans, s)
			} else {
				i := rng.IntN(len(spans))
				o.finish(spans[i])
				done[spans[i]] = true
				spans = append(spans[:i], spans[i+1:]...)
			}
			var want mark
			wanted := false
			for _, r := range log {
				if !done[r.of] {
					break
				}
				want, wanted = mark{offset: r.offset + 1, epoch: r.epoch}, true
			}
			at, any := o.committable()
			require.Equal(t, wanted, any, "seed %d, step %d", seed, step)
			require.Equal(t, want, at, "seed %d, step %d", seed, step)
		}
	}
}
