// Command demo runs the main job with nothing to install: a pretend API
// (callsim), a Kafka broker in this process, and two pipelines of config/ as
// they are. It calls the leads of leads.jsonl, enriches what comes back, and
// checks the result against what the pretend API knows to have happened. With
// -platform it does so on today's platform, and without on v1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// limit is how long the demo may take before it is taken for stuck.
const limit = 2 * time.Minute

func main() {
	onPlatform := flag.Bool("platform", false, "today's platform and its pipelines, in place of v1 and its own")
	flag.Parse()
	generation := v1
	if *onPlatform {
		generation = today
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, generation); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

func run(ctx context.Context, pretend func() (*generation, error)) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	leads, err := readLeads()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "happyrobot-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the results: %w", err)
	}
	api, err := pretend()
	if err != nil {
		return err
	}
	defer func() { err = api.closed(err) }()

	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, leadsTopic, api.receipts, failedTopic, enrichedTopic, eventsFailedTopic))
	if err != nil {
		return fmt.Errorf("starting the in-process Kafka: %w", err)
	}
	defer broker.Close()
	kafka, err := connect(broker.ListenAddrs(), api)
	if err != nil {
		return err
	}
	defer kafka.close()

	fmt.Printf("Pretend API at %s, Kafka at %s\n", api.url, broker.ListenAddrs()[0])
	if err := kafka.produce(ctx, leads.lines); err != nil {
		return err
	}
	settings := map[string]string{
		"HAPPYROBOT_API_KEY": "demo-key", "HAPPYROBOT_SETTLE": "2s", "POLL_INTERVAL": "200ms",
		"KAFKA_BROKERS": broker.ListenAddrs()[0], "STATE_DIR": filepath.Join(dir, "state"),
		"CRM_EVENTS_TOPIC": api.receipts, // a receipt names its call or run, as a CRM event would
	}
	maps.Copy(settings, api.settings)
	pipelines, err := start(ctx, settings, api.files...)
	if err != nil {
		return err
	}
	watchErr := kafka.watch(ctx, pipelines.failed, len(leads.lines), func(t tally) {
		fmt.Printf("  receipts %3d   failed %3d   enriched %3d of %d leads\n", t.receipts(), len(t.failed), len(t.enriched), len(leads.lines))
	})
	if err := errors.Join(watchErr, pipelines.stop()); err != nil {
		return err
	}
	return report(leads, kafka.tally(), api, filepath.Join(dir, "enriched_events.jsonl"))
}
