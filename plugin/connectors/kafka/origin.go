package kafka

import (
	"context"
	"reflect"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// origin is the record that a message was read from, in the words of the message's own
// metadata, headers of these names included. The input puts it into the context of the
// message.
//
// Benthos gives contexts back by position after every processor of batches, while metadata
// stays with its message. It finds the failed messages of a batch by what is in their
// contexts. So where the two contradict, a BatchError would blame a neighbour.
type origin struct{ topic, partition, offset any }

type originKey struct{}

// originOf is what the metadata of a message says.
func originOf(msg *service.Message) (o origin) {
	o.topic, _ = msg.MetaGetMut(metaTopic)
	o.partition, _ = msg.MetaGetMut(metaPartition)
	o.offset, _ = msg.MetaGetMut(metaOffset)
	return o
}

// withOrigin notes where a message comes from. It has its metadata.
func withOrigin(msg *service.Message) *service.Message {
	return msg.WithContext(context.WithValue(msg.Context(), originKey{}, originOf(msg)))
}

// isShifted reports whether the contexts of a batch are not known to be those of its own
// messages: they contradict, or the metadata was removed. Of messages that other inputs
// read it knows nothing, and reports false.
func isShifted(batch service.MessageBatch) bool {
	for _, msg := range batch {
		from, known := msg.Context().Value(originKey{}).(origin)
		if known && !reflect.DeepEqual(from, originOf(msg)) {
			return true
		}
	}
	return false
}
