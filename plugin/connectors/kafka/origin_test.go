package kafka

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What a batch's messages say of themselves decides whether one of them may fail alone.
func TestABatchIsShiftedUnlessItsMessagesHaveTheirOwnContexts(t *testing.T) {
	t.Parallel()
	read := func(headers ...kgo.RecordHeader) service.MessageBatch {
		return recordMessages([]*kgo.Record{{Topic: "in", Offset: 6, Headers: headers}, {Topic: "in", Offset: 7}}, 8)
	}
	assert.False(t, isShifted(read()))
	assert.False(t, isShifted(service.MessageBatch{service.NewMessage(nil)}), "of another input")

	// An output that hands all metadata on as headers, and an input behind it.
	assert.False(t, isShifted(read(kgo.RecordHeader{Key: metaOffset, Value: []byte("44")}, kgo.RecordHeader{Key: metaTopic, Value: []byte("before")})))

	filtered := read()
	filtered = service.MessageBatch{filtered[1].WithContext(filtered[0].Context())}
	assert.True(t, isShifted(filtered))

	for _, key := range []string{metaTopic, metaPartition, metaOffset} {
		removed := read()
		removed[1].MetaDelete(key)
		assert.True(t, isShifted(removed), "nothing says whose context it has")
	}
}
