package kafka

import (
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	metaKey       = "kafka_key"
	metaTopic     = "kafka_topic"
	metaPartition = "kafka_partition"
	metaOffset    = "kafka_offset"
	metaLag       = "kafka_lag"
	metaMillis    = "kafka_timestamp_ms"
	metaUnix      = "kafka_timestamp_unix"
	metaTombstone = "kafka_tombstone_message"
)

// recordMessage makes the message of a record. Headers come after what they may have
// the name of, as in Connect, except for the lag.
func recordMessage(r *kgo.Record, high int64) *service.Message {
	msg := service.NewMessage(r.Value)
	msg.MetaSetMut(metaKey, r.Key)
	msg.MetaSetMut(metaTopic, r.Topic)
	msg.MetaSetMut(metaPartition, int(r.Partition))
	msg.MetaSetMut(metaOffset, int(r.Offset))
	msg.MetaSetMut(metaUnix, r.Timestamp.Unix())
	msg.MetaSetMut(metaMillis, r.Timestamp.UnixMilli())
	msg.MetaSetMut(metaTombstone, r.Value == nil)
	for _, h := range r.Headers {
		if h.Value == nil {
			msg.MetaSetMut(h.Key, nil)
		} else {
			msg.MetaSetMut(h.Key, string(h.Value))
		}
	}
	msg.MetaSetMut(metaLag, max(0, high-r.Offset-1))
	return withOrigin(msg)
}

func recordMessages(records []*kgo.Record, high int64) service.MessageBatch {
	batch := make(service.MessageBatch, len(records))
	for i, r := range records {
		batch[i] = recordMessage(r, high)
	}
	return batch
}
