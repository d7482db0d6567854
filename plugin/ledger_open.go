package plugin

import (
	"context"
	"fmt"

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
		records, opts.Exclusive = ledger.NewMemory(), func() bool { return true }
		log.Warn("No `ledger` is set: what was dialed is remembered in memory only, and leads redelivered after a restart may be called again.")
	case !res.HasCache(label):
		return nil, fmt.Errorf("%s: no cache resource is labelled %q", dfFieldLedger, label)
	default:
		// Benthos opens a cache when it is first used: better a bad ledger stops
		// the start than the first lead.
		if err := res.AccessCache(context.Background(), label, func(service.Cache) {}); err != nil {
			return nil, fmt.Errorf("%s: opening cache %q: %w", dfFieldLedger, label, err)
		}
		cache := newWatchedCache(res, label, ledgerRole(o.Window))
		if err := cache.check(); err != nil {
			return nil, err
		}
		records, opts.Exclusive, opts.Batch = cache, cache.exclusive, cache
	}
	l, err := ledger.New(records, opts)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dfFieldDedupeWindow, err)
	}
	return l, nil
}
