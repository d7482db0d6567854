package kafka

import (
	"maps"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

func metadata(t *testing.T, msg *service.Message) map[string]any {
	t.Helper()
	all := map[string]any{}
	require.NoError(t, msg.MetaWalkMut(func(key string, value any) error {
		all[key] = value
		return nil
	}))
	return all
}

// What Connect v4.105.0 gives for the same records was written down from a run of it.
func TestMetadataIsThatOfConnect(t *testing.T) {
	at := time.UnixMilli(1795812458540)
	record := func(key, value []byte, headers ...kgo.RecordHeader) *kgo.Record {
		return &kgo.Record{Topic: "leads", Partition: 3, Offset: 7, Timestamp: at, Key: key, Value: value, Headers: headers}
	}
	with := func(changes map[string]any) map[string]any {
		all := map[string]any{
			"kafka_key": []byte("k"), "kafka_topic": "leads", "kafka_partition": 3, "kafka_offset": 7,
			"kafka_timestamp_unix": int64(1795812458), "kafka_timestamp_ms": int64(1795812458540),
			"kafka_tombstone_message": false, "kafka_lag": int64(2),
		}
		maps.Copy(all, changes)
		return all
	}
	for _, c := range []struct {
		name   string
		record *kgo.Record
		want   map[string]any
	}{
		{"null key", record(nil, []byte("x")), with(map[string]any{"kafka_key": []byte(nil)})},
		{"empty key", record([]byte{}, []byte("x")), with(map[string]any{"kafka_key": []byte{}})},
		{"tombstone", record([]byte("k"), nil), with(map[string]any{"kafka_tombstone_message": true})},
		{"empty value", record([]byte("k"), []byte{}), with(nil)},
		{"headers", record([]byte("k"), []byte("x"),
			kgo.RecordHeader{Key: "a", Value: []byte("1")}, kgo.RecordHeader{Key: "a", Value: []byte("2")},
			kgo.RecordHeader{Key: "b"}, kgo.RecordHeader{Key: "c", Value: []byte{}},
		), with(map[string]any{"a": "2", "b": nil, "c": ""})},
		{"headers of our names", record([]byte("k"), []byte("x"),
			kgo.RecordHeader{Key: "kafka_key", Value: []byte("S")}, kgo.RecordHeader{Key: "kafka_offset", Value: []byte("S")},
			kgo.RecordHeader{Key: "kafka_lag", Value: []byte("S")},
		), with(map[string]any{"kafka_key": "S", "kafka_offset": "S"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			msg := recordMessage(c.record, 10)
			assert.Equal(t, c.want, metadata(t, msg))
			content, err := msg.AsBytes()
			require.NoError(t, err)
			assert.Equal(t, string(c.record.Value), string(content))
		})
	}
}
