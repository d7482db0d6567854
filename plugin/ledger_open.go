package plugin

import (
	"context"
	"fmt"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

const ( // df: dial fields that say what the ledger is
	dfFieldLedger       = "ledger"
	dfFieldDedupeWindow = "dedupe_window"
)

// openLedger opens the ledger that the config names.
func openLedger(conf *service.ParsedConfig, res *service.Resources, o dialer.Options) (*ledger.Ledger, error) {
	label, err := conf.FieldString(dfFieldLedger)
	if err != nil {
		return nil, err
	}
	log := res.Logger()
	opts := ledger.Options{
		Window: o.Window, Lease: o.Timeout + o.Settle,
		InitialInterval: o.InitialInterval, MaxInterval: o.MaxInterval,
		Notice: o.Notice(words.CauseLedger),
	}
	var records store.Store
	switch {
	case label == "":
		records, opts.Exclusive = ledger.NewMemory(), true
		log.Warn("No `ledger` is set: what was dialed is remembered in memory only, and leads redelivered after a restart may be called again.")
	case !res.HasCache(label):
		return nil, fmt.Errorf("%s: no cache resource is labelled %q", dfFieldLedger, label)
	default:
		// Benthos opens a cache when it is first used: better a bad ledger stops
		// the start than the first lead.
		if err := res.AccessCache(context.Background(), label, func(service.Cache) {}); err != nil {
			return nil, fmt.Errorf("%s: opening cache %q: %w", dfFieldLedger, label, err)
		}
		records = cacheResource{res: res, label: label}
		single := singleProcessLedger{res: res, label: label}
		if _, err := single.cache(); err == nil {
			opts.Exclusive, opts.Batch = true, single
		}
	}
	l, err := ledger.New(records, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dfFieldDedupeWindow, err)
	}
	return l, nil
}

// singleProcessLedger looks the cache up for each write, since Benthos may swap a
// resource while the stream runs.
type singleProcessLedger struct {
	res   *service.Resources
	label string
}

func (l singleProcessLedger) cache() (store.Batcher, error) {
	found, _ := l.res.GetGeneric(singleProcessCache(l.label))
	cache, ok := found.(store.Batcher)
	if !ok {
		return nil, fmt.Errorf("cache %q does not write in batches", l.label)
	}
	return cache, nil
}

// AddAll implements store.Batcher.
func (l singleProcessLedger) AddAll(ctx context.Context, items []store.Item) []error {
	cache, err := l.cache()
	if err != nil {
		return slices.Repeat([]error{err}, len(items))
	}
	return cache.AddAll(ctx, items)
}

// SetAll implements store.Batcher.
func (l singleProcessLedger) SetAll(ctx context.Context, items []store.Item) error {
	cache, err := l.cache()
	if err != nil {
		return err
	}
	return cache.SetAll(ctx, items)
}
