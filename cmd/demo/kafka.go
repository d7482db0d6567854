package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The topics of the pipelines, but that of receipts: a generation has its own.
const (
	leadsTopic        = "leads"
	failedTopic       = "leads_failed"
	enrichedTopic     = "crm_events_enriched"
	eventsFailedTopic = "crm_events_failed"
)

// kafka puts the leads in and counts what comes out.
type kafka struct {
	client *kgo.Client
	of     *generation
	out    tally
}

// tally is what the pipelines wrote.
type tally struct {
	outcomes     map[string]int // of receipts
	failed       []failure
	enriched     [][]byte
	ends         map[string]ending // of enriched events, by lead
	eventsFailed int
}

// ending is what an enriched event tells of a lead's call or run.
type ending struct{ id, status, transcript string }

type failure struct {
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
}

func (t tally) receipts() (n int) {
	for _, count := range t.outcomes {
		n += count
	}
	return n
}

func connect(brokers []string, of *generation) (*kafka, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(of.receipts, failedTopic, enrichedTopic, eventsFailedTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, fmt.Errorf("connecting to the in-process Kafka: %w", err)
	}
	return &kafka{client: client, of: of, out: tally{outcomes: map[string]int{}, ends: map[string]ending{}}}, nil
}

func (k *kafka) close() { k.client.Close() }

func (k *kafka) tally() tally { return k.out }

func (k *kafka) produce(ctx context.Context, lines [][]byte) error {
	records := make([]*kgo.Record, len(lines))
	for i, line := range lines {
		records[i] = &kgo.Record{Topic: leadsTopic, Value: line}
	}
	if err := k.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return fmt.Errorf("writing the leads: %w", err)
	}
	return nil
}

// watch counts until every lead has a receipt or stands among the failed, and
// every receipt is enriched, telling the progress once a second.
func (k *kafka) watch(ctx context.Context, stopped <-chan error, want int, progress func(tally)) error {
	told := time.Now()
	for {
		select {
		case err := <-stopped:
			return fmt.Errorf("a pipeline stopped early: %w", err)
		default:
		}
		pollCtx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := k.client.PollFetches(pollCtx)
		cancel()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fetches.EachRecord(k.count)
		done := k.out.receipts()+len(k.out.failed) >= want && len(k.out.enriched)+k.out.eventsFailed >= k.out.receipts()
		if done || time.Since(told) >= time.Second {
			progress(k.out)
			told = time.Now()
		}
		if done {
			return nil
		}
	}
}

func (k *kafka) count(r *kgo.Record) {
	switch r.Topic {
	case k.of.receipts:
		var receipt struct {
			Outcome string `json:"outcome"`
		}
		_ = json.Unmarshal(r.Value, &receipt) // counted under "" then, which the report shows
		k.out.outcomes[receipt.Outcome]++
	case failedTopic:
		var f failure
		_ = json.Unmarshal(r.Value, &f)
		k.out.failed = append(k.out.failed, f)
	case enrichedTopic:
		k.out.enriched = append(k.out.enriched, r.Value)
		lead, end := k.of.ending(r.Value)
		k.out.ends[lead] = end
	case eventsFailedTopic:
		k.out.eventsFailed++
	}
}
