package kafka

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

// recordConfig is how the record of a message is made.
type recordConfig struct {
	topic     *service.InterpolatedString
	key       *service.InterpolatedString // nil: no record has a key
	partition *service.InterpolatedString // nil: chosen by the client
	timestamp *service.InterpolatedString // nil: the time of writing
	unit      time.Duration               // of timestamp
	tsField   string
	headers   *service.MetadataFilter
}

func recordConfigFromParsed(conf *service.ParsedConfig) (c *recordConfig, err error) {
	c = &recordConfig{}
	if c.topic, err = conf.FieldInterpolatedString(orFieldTopic); err != nil {
		return nil, err
	}
	if text, static := c.topic.Static(); static && text == "" {
		return nil, fmt.Errorf("field %s: must not be empty", orFieldTopic)
	}
	if conf.Contains(orFieldKey) {
		if c.key, err = conf.FieldInterpolatedString(orFieldKey); err != nil {
			return nil, err
		}
	}
	if c.partition, err = optional(conf, orFieldPartition); err != nil {
		return nil, err
	}
	seconds, err := optional(conf, orFieldTimestamp)
	if err != nil {
		return nil, err
	}
	millis, err := optional(conf, orFieldTimestampMs)
	if err != nil {
		return nil, err
	}
	switch {
	case seconds != nil && millis != nil:
		return nil, fmt.Errorf("fields %s and %s exclude each other; use %[2]s", orFieldTimestamp, orFieldTimestampMs)
	case seconds != nil:
		c.timestamp, c.unit, c.tsField = seconds, time.Second, orFieldTimestamp
	case millis != nil:
		c.timestamp, c.unit, c.tsField = millis, time.Millisecond, orFieldTimestampMs
	}
	if conf.Contains(orFieldMetadata) {
		if c.headers, err = conf.FieldMetadataFilter(orFieldMetadata); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// optional is a field that may be missing or, which is the same, empty.
func optional(conf *service.ParsedConfig, field string) (*service.InterpolatedString, error) {
	if !conf.Contains(field) {
		return nil, nil
	}
	text, err := conf.FieldInterpolatedString(field)
	if err != nil {
		return nil, err
	}
	if static, is := text.Static(); is && static == "" {
		return nil, nil
	}
	return text, nil
}

// record makes the record of a message. Its errors never hold what is in the message.
func (c *recordConfig) record(msg *service.Message) (*kgo.Record, error) {
	r := &kgo.Record{}
	var err error
	if r.Topic, err = c.topic.TryString(msg); err != nil {
		return nil, fmt.Errorf("field %s: resolving it for this message: %w", orFieldTopic, err)
	}
	if r.Topic == "" {
		return nil, fmt.Errorf("field %s: empty for this message", orFieldTopic)
	}
	if r.Value, err = msg.AsBytes(); err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	if len(r.Value) == 0 && isTombstone(msg) {
		r.Value = nil
	}
	if c.key != nil {
		// Null stays null, and empty stays empty: the key of a record that the input
		// read goes through `${! @kafka_key }` unchanged.
		if r.Key, err = c.key.TryBytes(msg); err != nil {
			return nil, fmt.Errorf("field %s: resolving it for this message: %w", orFieldKey, err)
		}
	}
	if c.partition != nil {
		n, err := number(c.partition, msg, 32)
		if err == nil && n < 0 {
			err = errors.New("a partition has no negative number")
		}
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", orFieldPartition, err)
		}
		r.Partition = int32(n)
	}
	if c.timestamp != nil {
		n, err := number(c.timestamp, msg, 64)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", c.tsField, err)
		}
		if c.unit == time.Second {
			r.Timestamp = time.Unix(n, 0)
		} else {
			r.Timestamp = time.UnixMilli(n)
		}
	}
	_ = c.headers.Walk(msg, func(name, value string) error { // a nil filter has none
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		return nil
	})
	return r, nil
}

func number(field *service.InterpolatedString, msg *service.Message, bits int) (int64, error) {
	text, err := field.TryString(msg)
	if err != nil {
		return 0, fmt.Errorf("resolving it for this message: %w", err)
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return 0, errors.New("not a whole number for this message, or one that is too large")
	}
	return n, nil
}

// isTombstone reports whether an empty message says of itself that it is a tombstone. A
// processor that touches the content of one makes it empty instead of null, and a mapping
// cannot make it null at all; the metadata survives both.
func isTombstone(msg *service.Message) bool {
	flag, ok := msg.MetaGetMut(metaTombstone)
	return ok && (flag == true || flag == "true")
}

// again is a record to be sent once more: the client wants a new one each time.
func again(r *kgo.Record) *kgo.Record {
	return &kgo.Record{
		Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers, Timestamp: r.Timestamp, Partition: r.Partition,
	}
}

// sizeOf is what the user's data in a record takes.
func sizeOf(r *kgo.Record) int {
	n := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += len(h.Key) + len(h.Value)
	}
	return n
}
