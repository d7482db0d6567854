package kafka

import (
	"context"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

// origin is the record that a message was read from. The input puts it into the context of
// the message, beside the metadata that says the same.
//
// Benthos gives contexts back by position after every processor of batches, while metadata
// stays with its message. It finds the failed messages of a batch by what is in their
// contexts. So where the two contradict, a BatchError would blame a neighbour.
type origin struct {
	topic     string
	partition int32
	offset    int64
}

type originKey struct{}

// withOrigin notes where a message comes from.
func withOrigin(msg *service.Message, r *kgo.Record) *service.Message {
	return msg.WithContext(context.WithValue(msg.Context(), originKey{}, origin{r.Topic, r.Partition, r.Offset}))
}

// isShifted reports whether the contexts of a batch are known to be those of other
// messages. It cannot know this of messages that other inputs read.
func isShifted(batch service.MessageBatch) bool {
	for _, msg := range batch {
		from, known := msg.Context().Value(originKey{}).(origin)
		if !known {
			continue
		}
		topic, _ := msg.MetaGetMut(metaTopic)
		partition, _ := msg.MetaGetMut(metaPartition)
		offset, _ := msg.MetaGetMut(metaOffset)
		if topic != from.topic || partition != int(from.partition) || offset != int(from.offset) {
			return true
		}
	}
	return false
}
