package plugin

import (
	"fmt"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/webhook"
)

// cacheRole is what a component keeps in a cache.
type cacheRole struct {
	is       string // what it is, at the beginning of a sentence
	field    string // that names the cache
	replaced string // what follows from other contents: whole sentences

	// unfit says why a cache of ours cannot be used, "" if it can: words that follow its name.
	unfit func(store.Facts) string
	// warns makes what is unfit of ours a warning.
	warns bool

	// trial finds out whether a cache that states nothing can be used.
	trial store.Trial
	// failed says what a failed trial means, with the reason in place of %s.
	failed string
}

// keepers are the caches that keep what they are given.
const keepers = "`bbolt`, `postgres`, or `redis` with `maxmemory-policy noeviction`"

// ledgerRole is that of a ledger that keeps its records for so long.
func ledgerRole(window time.Duration) cacheRole {
	return cacheRole{
		is: "Ledger", field: dfFieldLedger,
		replaced: "Leads that were called before are not known there, and are called again if they are delivered again.",
		unfit: func(f store.Facts) string {
			switch {
			case f.MayEvict != "":
				return "may forget records before their time, because " + f.MayEvict + ": leads could be called twice. " +
					"Change that setting, or use a cache that keeps its records: " + keepers
			case !f.KeepsTTL:
				return "does not keep a record for as long as `" + dfFieldDedupeWindow + "` says: leads could be called twice. " +
					"Use a cache that does: `bbolt`, `postgres` or `redis`"
			}
			return ""
		},
		trial: store.Trial{
			Names: "happyrobot_cache_names_ledger", TTL: &window, Adds: true,
			Forms: func(name string) []string { return []string{name, name + "/2"} },
		},
		failed: "cannot hold a ledger, because %s: leads could be called twice. Use a cache that can: " + keepers,
	}
}

// cursorRole is that of the cursor of a component that emits calls or runs.
func cursorRole(component, many string) cacheRole {
	ttl := cursorTTL
	return cacheRole{
		is: "Cursor", field: icFieldCache,
		replaced: "The input continues from what it has in memory, and saves it there.",
		unfit: func(f store.Facts) string {
			if f.MayEvict == "" {
				return ""
			}
			return "may forget the cursor, because " + f.MayEvict + ": after a restart " + many + " would be emitted again, or never. " +
				"Change that setting, or use a cache that keeps its records: " + keepers
		},
		trial: store.Trial{
			Names: "happyrobot_cache_names_cursor", TTL: &ttl,
			Forms: func(name string) []string { return []string{component + "/" + name} },
		},
		failed: "cannot hold a cursor, because %s: after a restart " + many + " would be emitted again, or never. Use a cache that can: " + keepers,
	}
}

var eventsRole = cacheRole{
	is: "Event-id cache", field: iwFieldCache,
	replaced: "Events that were taken before are not known there, and are delivered again if they are sent again.",
	unfit: func(f store.Facts) string {
		if f.MayEvict == "" {
			return ""
		}
		return "may forget events before their time, because " + f.MayEvict + ": an event that is sent again may be delivered twice"
	},
	warns: true,
	trial: store.Trial{
		Names: "happyrobot_cache_names_events",
		Forms: func(name string) []string { return []string{webhook.KeyPrefix + name} },
	},
	failed: "cannot remember events, because %s: an event that is sent again would be delivered twice. Use a cache that can: " + keepers,
}

// unfitError is why a cache cannot be used in its role.
type unfitError struct{ label, why string }

func (e *unfitError) Error() string { return fmt.Sprintf("cache %q %s", e.label, e.why) }
