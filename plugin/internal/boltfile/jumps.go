package boltfile

import (
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"
)

// A jump of the system clock is kept in each bucket, as a clock that was steady for an hour may still have been wrong:
// what it wrote seems too old once it is set right. Jumps forward give what was written before them extra time, and
// jumps back take that away again. Which records were written before a jump is told by their expiry: it is no later
// than the jump and the longest TTL of the bucket.
var (
	jumpsKey   = []byte("jumps")
	longestKey = []byte("longest") // the longest TTL that was written, in milliseconds
)

// jump says what the clock would have shown without it, and how far it went.
type jump struct {
	at time.Time
	by time.Duration
}

// keptJump is a jump in a bucket, in milliseconds.
type keptJump struct {
	until int64 // whatever expires later was written after the jump
	by    int64
}

const (
	keptJumpLen = 2 * 8
	maxJumps    = 64
)

func readJumps(b []byte) (all []keptJump) {
	for ; len(b) >= keptJumpLen; b = b[keptJumpLen:] {
		all = append(all, keptJump{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))})
	}
	return all
}

func (t bucketTrees) longest() int64 {
	if b := t.top.Get(longestKey); len(b) == 8 {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (t bucketTrees) noteTTL(milliseconds int64) error {
	if milliseconds <= t.longest() {
		return nil
	}
	return t.top.Put(longestKey, binary.BigEndian.AppendUint64(nil, uint64(milliseconds)))
}

func (t bucketTrees) addJump(j jump) error {
	all := append(readJumps(t.top.Get(jumpsKey)), keptJump{j.at.UnixMilli() + t.longest(), j.by.Milliseconds()})
	if len(all) > maxJumps { // the oldest two become one that gives no less time
		first := all[0]
		all = all[1:]
		all[0] = keptJump{max(all[0].until, first.until), all[0].by + max(0, first.by)}
	}
	var b []byte
	for _, kept := range all {
		b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(kept.until)), uint64(kept.by))
	}
	return t.top.Put(jumpsKey, b)
}

// extended returns an expiry with the most extra time that the jumps since a record was written can give it.
func (t bucketTrees) extended(expiry int64) int64 {
	all := readJumps(t.top.Get(jumpsKey))
	var sum, most int64
	for i := len(all) - 1; i >= 0 && expiry <= all[i].until; i-- {
		sum += all[i].by
		most = max(most, sum)
	}
	return expiry + most
}

// noteJumps keeps the jumps that the clock has made in all buckets. Of the writer alone.
func (f *openFile) noteJumps() error {
	for _, j := range f.clock.jumps() {
		f.log.Warnf("System clock jumped by %v: no record of %q expires until the clock has been steady for an hour.", j.by.Round(time.Second), f.path)
		f.unnoted = append(f.unnoted, j)
	}
	if len(f.unnoted) == 0 {
		return nil
	}
	err := f.handle.Load().update(func(tx *bbolt.Tx) (bool, error) {
		return true, tx.ForEach(func(_ []byte, top *bbolt.Bucket) error {
			if !isOurs(top) {
				return nil
			}
			for _, j := range f.unnoted {
				if err := treesOf(top).addJump(j); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err == nil {
		f.unnoted = nil
	}
	return err
}
