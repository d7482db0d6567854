package kafka

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func numbered(first, n, size int) (records []*kgo.Record) {
	for i := range n {
		records = append(records, &kgo.Record{Offset: int64(first + i), LeaderEpoch: 1, Value: bytes.Repeat([]byte("x"), size)})
	}
	return records
}

func newTestTenure(records ...*kgo.Record) *tenure {
	t := &tenure{topic: "leads"}
	t.add(records, int64(len(records)))
	return t
}

func TestABatchHoldsWhatFitsAndOneRecordAtLeast(t *testing.T) {
	tn := newTestTenure(numbered(0, 10, 100)...)
	assert.Len(t, tn.take(350), 3)
	assert.Len(t, tn.take(1), 1)
	assert.Len(t, tn.take(0), 1)
	assert.Len(t, tn.take(100000), 5)
	assert.Zero(t, tn.buffered)
}

func TestTheBufferCountsRecordsWithoutContentsToo(t *testing.T) {
	tn := newTestTenure(numbered(0, 10, 0)...)
	assert.Equal(t, 10*recordOverhead, tn.buffered)
}

func TestARejectedBatchComesAgainAndHoldsTheMark(t *testing.T) {
	tn := newTestTenure(numbered(0, 4, 1)...)
	now := time.Now()
	first, second := tn.handOut(tn.take(2)), tn.handOut(tn.take(2))
	assert.True(t, tn.settle(second, 0, nil, now))
	assert.True(t, tn.settle(first, 0, errors.New("no"), now))
	_, ok := tn.uncommitted()
	assert.False(t, ok)

	again, _ := tn.replay(now.Add(time.Minute))
	require.Same(t, first, again)
	assert.False(t, tn.settle(first, 0, nil, now), "the first attempt has had its say")
	_, ok = tn.uncommitted()
	assert.False(t, ok)

	assert.True(t, tn.settle(first, again.attempt, nil, now))
	at, ok := tn.uncommitted()
	assert.True(t, ok)
	assert.Equal(t, int64(4), at.offset)
	assert.Zero(t, tn.flights)
	assert.Zero(t, tn.records)
}

func TestARevokedPartitionHandsOutNothingAndWaitsForWorkOnly(t *testing.T) {
	now := time.Now()
	tn := newTestTenure(numbered(0, 6, 1)...)
	inWork, rejected := tn.handOut(tn.take(2)), tn.handOut(tn.take(2))
	tn.settle(rejected, 0, errors.New("no"), now)

	idle := tn.leave()
	require.NotNil(t, idle)
	assert.Empty(t, tn.queue)
	assert.Equal(t, 1, tn.flights, "what waits for another try is given up")
	f, wait := tn.replay(now.Add(time.Hour))
	assert.Nil(t, f)
	assert.Zero(t, wait)
	tn.add(numbered(6, 3, 1), 9)
	assert.Empty(t, tn.queue)

	assert.True(t, tn.settle(inWork, 0, nil, now))
	select {
	case <-idle:
	default:
		t.Fatal("nothing is in work any more")
	}
	at, ok := tn.uncommitted()
	assert.True(t, ok)
	assert.Equal(t, int64(2), at.offset, "what was given up is not committed")
}

func TestARejectionEndsTheWaitOfARevocation(t *testing.T) {
	tn := newTestTenure(numbered(0, 2, 1)...)
	f := tn.handOut(tn.take(2))
	idle := tn.leave()
	tn.settle(f, 0, errors.New("no"), time.Now())
	<-idle
	_, ok := tn.uncommitted()
	assert.False(t, ok)
}

func TestNothingIsHeardAfterTheEnd(t *testing.T) {
	tn := newTestTenure(numbered(0, 2, 1)...)
	f := tn.handOut(tn.take(2))
	tn.leave()
	tn.end()
	assert.False(t, tn.settle(f, 0, nil, time.Now()))
	_, ok := tn.uncommitted()
	assert.False(t, ok)
}

func TestLag(t *testing.T) {
	tn := &tenure{}
	assert.Zero(t, tn.lag(100), "nothing came")
	tn.add(numbered(40, 10, 1), 50)
	assert.Equal(t, int64(10), tn.lag(50))
	tn.settle(tn.handOut(tn.take(4)), 0, nil, time.Now())
	assert.Equal(t, int64(6), tn.lag(50))
}
