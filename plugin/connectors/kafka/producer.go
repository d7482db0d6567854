package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

// producerConfig is how the client writes.
type producerConfig struct {
	partitioner        kgo.Partitioner
	idempotent         bool
	acks               kgo.Acks
	compression        []kgo.CompressionCodec // nil: the client's choice
	autoTopics         bool
	timeout            time.Duration
	maxMessageBytes    int32
	maxWriteBytes      int32
	maxBufferedRecords int
	maxBufferedBytes   int32 // 0: no limit
	inFlightRequests   int
	retries            int           // 0: no limit
	deliveryTimeout    time.Duration // 0: no limit
}

func producerFromParsed(conf *service.ParsedConfig) (*producerConfig, error) {
	p := &producerConfig{}
	var err error
	if err = p.choices(conf); err != nil {
		return nil, err
	}
	for name, at := range map[string]*int32{
		orFieldMaxMessageBytes:  &p.maxMessageBytes,
		orFieldMaxWriteBytes:    &p.maxWriteBytes,
		orFieldMaxBufferedBytes: &p.maxBufferedBytes,
	} {
		if *at, err = sizeFromParsed(conf, name); err != nil {
			return nil, err
		}
	}
	for name, at := range map[string]*int{
		orFieldMaxBufferedRecords: &p.maxBufferedRecords,
		orFieldInFlightRequests:   &p.inFlightRequests,
		orFieldRetries:            &p.retries,
	} {
		if *at, err = conf.FieldInt(name); err != nil {
			return nil, err
		}
		if *at < 0 || *at == 0 && name != orFieldRetries {
			return nil, fmt.Errorf("field %s: must be more than zero, got %d", name, *at)
		}
	}
	for name, at := range map[string]*time.Duration{
		orFieldTimeout:         &p.timeout,
		orFieldDeliveryTimeout: &p.deliveryTimeout,
	} {
		if *at, err = conf.FieldDuration(name); err != nil {
			return nil, err
		}
	}
	if p.maxWriteBytes < p.maxMessageBytes {
		return nil, fmt.Errorf("field %s: must be at least %s", orFieldMaxWriteBytes, orFieldMaxMessageBytes)
	}
	if p.deliveryTimeout != 0 && p.deliveryTimeout < time.Second {
		return nil, fmt.Errorf("field %s: must be 0s or at least 1s, got %v", orFieldDeliveryTimeout, p.deliveryTimeout)
	}
	if p.idempotent && p.inFlightRequests != 1 {
		return nil, fmt.Errorf("field %s: must be 1 with %s, got %d; set %[2]s to false to use more", orFieldInFlightRequests, orFieldIdempotent, p.inFlightRequests)
	}
	return p, nil
}

// choices reads the fields that choose among several ways.
func (p *producerConfig) choices(conf *service.ParsedConfig) (err error) {
	if p.idempotent, err = conf.FieldBool(orFieldIdempotent); err != nil {
		return err
	}
	if p.autoTopics, err = conf.FieldBool(orFieldAutoTopics); err != nil {
		return err
	}
	acks, err := conf.FieldString(orFieldAcks)
	if err != nil {
		return err
	}
	switch acks {
	case "all":
		p.acks = kgo.AllISRAcks()
	case "leader":
		p.acks = kgo.LeaderAck()
	case "none":
		p.acks = kgo.NoAck()
	default:
		return fmt.Errorf("field %s: %q is not one of all, leader and none", orFieldAcks, acks)
	}
	if p.idempotent && acks != "all" {
		return fmt.Errorf("field %s: must be all with %s, got %s; set %[2]s to false to use other acks", orFieldAcks, orFieldIdempotent, acks)
	}
	if err := p.compressionFrom(conf); err != nil {
		return err
	}
	return p.partitionerFrom(conf)
}

func (p *producerConfig) compressionFrom(conf *service.ParsedConfig) error {
	if !conf.Contains(orFieldCompression) {
		return nil
	}
	name, err := conf.FieldString(orFieldCompression)
	if err != nil {
		return err
	}
	codecs := map[string]kgo.CompressionCodec{
		"lz4": kgo.Lz4Compression(), "snappy": kgo.SnappyCompression(), "gzip": kgo.GzipCompression(),
		"none": kgo.NoCompression(), "zstd": kgo.ZstdCompression(),
	}
	codec, known := codecs[name]
	if !known {
		return fmt.Errorf("field %s: %q is not one of lz4, snappy, gzip, none and zstd", orFieldCompression, name)
	}
	p.compression = []kgo.CompressionCodec{codec}
	return nil
}

func (p *producerConfig) partitionerFrom(conf *service.ParsedConfig) (err error) {
	name := partitionerMurmur2
	if conf.Contains(orFieldPartitioner) {
		if name, err = conf.FieldString(orFieldPartitioner); err != nil {
			return err
		}
	}
	partition, err := optional(conf, orFieldPartition)
	if err != nil {
		return err
	}
	switch name {
	case partitionerMurmur2:
		p.partitioner = kgo.StickyKeyPartitioner(nil)
	case partitionerRoundRobin:
		p.partitioner = kgo.RoundRobinPartitioner()
	case partitionerLeastBackup:
		p.partitioner = kgo.LeastBackupPartitioner()
	case partitionerManual:
		if partition == nil {
			return fmt.Errorf("field %s: needed by %s %s", orFieldPartition, orFieldPartitioner, partitionerManual)
		}
		p.partitioner = kgo.ManualPartitioner()
		return nil
	default:
		return fmt.Errorf("field %s: %q is not one of murmur2_hash, round_robin, least_backup and manual", orFieldPartitioner, name)
	}
	if partition != nil {
		return fmt.Errorf("field %s: used with %s %s only", orFieldPartition, orFieldPartitioner, partitionerManual)
	}
	return nil
}

func (p *producerConfig) opts() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.RecordPartitioner(p.partitioner),
		kgo.RequiredAcks(p.acks),
		kgo.ProduceRequestTimeout(p.timeout),
		kgo.ProducerBatchMaxBytes(p.maxMessageBytes),
		kgo.BrokerMaxWriteBytes(p.maxWriteBytes),
		kgo.MaxBufferedRecords(p.maxBufferedRecords),
		kgo.MaxProduceRequestsInflightPerBroker(p.inFlightRequests),
	}
	if p.maxBufferedBytes > 0 {
		opts = append(opts, kgo.MaxBufferedBytes(int(p.maxBufferedBytes)))
	}
	if p.compression != nil {
		opts = append(opts, kgo.ProducerBatchCompression(p.compression...))
	}
	if !p.idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	if p.autoTopics {
		opts = append(opts, kgo.AllowAutoTopicCreation())
	}
	if p.retries > 0 {
		opts = append(opts, kgo.RecordRetries(p.retries))
	}
	if p.deliveryTimeout > 0 {
		opts = append(opts, kgo.RecordDeliveryTimeout(p.deliveryTimeout))
	}
	return opts
}

// givesUp reports whether a write that has been failing for so long is to end. Without a
// limit it never is.
func (p *producerConfig) givesUp(err error, after time.Duration) bool {
	return p.retries > 0 || p.deliveryTimeout > 0 && after >= p.deliveryTimeout ||
		errors.Is(err, kgo.ErrRecordTimeout) || errors.Is(err, kgo.ErrRecordRetries)
}
