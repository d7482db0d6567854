package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// A cache that forgets can do all that a component asks of it when it starts. Its config
// alone tells that it cannot hold a ledger or a cursor, and no component sees that.

// holds is what a component keeps in a cache.
type holds struct {
	field string // that names the cache
	is    string // in a sentence
	lost  string // what follows if it is lost
}

var (
	holdsLedger = &holds{"ledger", "a ledger", "leads could be called twice"}
	holdsCursor = &holds{"cache", "a cursor", "after a restart calls would be emitted again, or never"}
	holdsEvents = &holds{"cache", "the ids of events", "an event that is sent again would be delivered twice"}
)

// keepInCaches are the components that keep something in a cache which must not be lost.
var keepInCaches = map[string]*holds{
	"happyrobot_dial": holdsLedger, "happyrobot_calls": holdsCursor, "happyrobot_webhook": holdsEvents,
}

// forgetful are the caches of Benthos and Connect that forget whatever their fields say,
// and what they cannot hold therefore.
var forgetful = map[string]struct {
	why   string
	unfit []*holds
}{
	"noop":       {"keeps nothing", []*holds{holdsLedger, holdsCursor, holdsEvents}},
	"lru":        {"forgets items when it is full", []*holds{holdsLedger, holdsCursor}},
	"ttlru":      {"forgets items when it is full, and each after the same time", []*holds{holdsLedger, holdsCursor}},
	"ristretto":  {"forgets items when it is full, and need not take any", []*holds{holdsLedger, holdsCursor}},
	"multilevel": {"keeps returning values that another process has since changed", []*holds{holdsLedger}},
}

// keepRecords are the caches of this program that keep each record of a ledger for as
// long as the ledger says, whatever their own TTL.
var keepRecords = []string{"bbolt", "postgres", "redis"}

// ttlFields are how caches call the time for which they keep an item.
var ttlFields = []string{"default_ttl", "ttl", "expiration"}

const (
	windowField   = "dedupe_window"
	defaultWindow = 168 * time.Hour
	useKeepers    = "Use `bbolt`, `postgres`, or `redis` with `maxmemory-policy noeviction`"
)

// cacheConfig is a cache of a config.
type cacheConfig struct {
	kind   string
	fields map[string]any // as written
}

// cacheUse is a field that names a cache.
type cacheUse struct {
	at, label string
	what      *holds
	window    time.Duration // of a ledger
}

// cacheConfigs are the caches of one or more configs, and what is kept in them.
type cacheConfigs struct {
	caches map[string]cacheConfig // by label
	uses   []cacheUse
}

// check refuses what is kept in a cache that would lose it. A label that is in none of
// these configs may be anywhere.
func (c cacheConfigs) check() (err error) {
	for _, use := range c.uses {
		if why := c.caches[use.label].unfit(use); why != "" {
			err = errors.Join(err, fmt.Errorf("%s: cache %q %s: %s. %s", use.at, use.label, why, use.what.lost, useKeepers))
		}
	}
	return err
}

// unfit says why a cache does not suit a use, "" if it does, as far as its config says.
func (c cacheConfig) unfit(use cacheUse) string {
	if bad, forgets := forgetful[c.kind]; forgets && slices.Contains(bad.unfit, use.what) {
		return fmt.Sprintf("cannot hold %s, because `%s` %s", use.what.is, c.kind, bad.why)
	}
	if use.what != holdsLedger || slices.Contains(keepRecords, c.kind) {
		return ""
	}
	for _, field := range ttlFields {
		if ttl, ok := duration(c.fields[field]); ok && ttl < use.window {
			return fmt.Sprintf("cannot hold this ledger, because its `%s` (%v) is shorter than `%s` (%v)", field, ttl, windowField, use.window)
		}
	}
	return ""
}

func duration(field any) (time.Duration, bool) {
	text, _ := field.(string)
	d, err := time.ParseDuration(text)
	return d, err == nil
}

// add takes what is of interest in a component of a config.
func (c *cacheConfigs) add(file string, w *service.WalkedComponent) error {
	parsed, err := w.ConfigAny()
	if err != nil {
		return err
	}
	component, _ := parsed.(map[string]any)
	fields, _ := component[w.Name].(map[string]any)
	if w.ComponentType == "cache" {
		c.caches[w.Label] = cacheConfig{kind: w.Name, fields: fields}
		return nil
	}
	what := keepInCaches[w.Name]
	if what == nil {
		return nil
	}
	label, _ := fields[what.field].(string)
	window, ok := duration(fields[windowField])
	if !ok {
		window = defaultWindow
	}
	at := strings.TrimPrefix(file+": ", ": ") + w.Path + "." + w.Name + "." + what.field
	c.uses = append(c.uses, cacheUse{at: at, label: label, what: what, window: window})
	return nil
}

// addFile takes what is of interest in a file. One that cannot be read is left to Benthos,
// which says what is wrong with it.
func (c *cacheConfigs) addFile(env *service.Environment, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		return
	}
	b := env.NewStreamBuilder()
	b.DisableLinting()
	if b.SetYAML(string(text)) != nil {
		return
	}
	_ = b.WalkComponents(func(w *service.WalkedComponent) error { return c.add(path, w) })
}

func newCacheConfigs() *cacheConfigs { return &cacheConfigs{caches: map[string]cacheConfig{}} }

// checkCaches refuses a run whose resources, in the main config or the files of -r, would
// lose what the main config, those files or the files of streams keep in them.
func (d *doors) checkCaches(main *service.ParsedConfig) error {
	all := newCacheConfigs()
	if root, err := main.FieldAny(); err == nil {
		_ = d.schema().NewStreamConfigWalker().WalkComponentsAny(root, func(w *service.WalkedComponent) error { return all.add("", w) })
	}
	for _, path := range slices.Concat(d.resources, d.streamFiles) {
		all.addFile(d.env, path)
	}
	return all.check()
}

// lintCaches refuses the same in files each of which may be a config of its own, with the
// files of -r beside it.
func (d *doors) lintCaches(files []string) (err error) {
	for _, path := range files {
		one := newCacheConfigs()
		for _, path := range d.resources {
			one.addFile(d.env, path)
		}
		one.uses = nil // of those files
		one.addFile(d.env, path)
		err = errors.Join(err, one.check())
	}
	return err
}

// configFiles are the files that a pattern of the command line means: those that match,
// and of folders, or with ... at the end, all configs below.
func configFiles(patterns []string) (files []string) {
	for _, pattern := range patterns {
		matches, err := filepath.Glob(strings.TrimSuffix(pattern, "..."))
		if err != nil || len(matches) == 0 {
			continue
		}
		for _, match := range matches {
			_ = filepath.WalkDir(match, func(path string, entry os.DirEntry, err error) error {
				if err == nil && !entry.IsDir() && (path == match || slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path))) {
					files = append(files, path)
				}
				return nil
			})
		}
	}
	return files
}
