package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Operations of a cache.
const (
	opGet    = "get"
	opAdd    = "add"
	opSet    = "set"
	opDelete = "delete"
)

var errCacheDown = errors.New("the cache is down, on request")

// cacheFault makes operations of a cache fail.
type cacheFault struct {
	ops     []string
	written bool // the operation takes effect, and only its answer is lost
}

// unsteady decides which operations fail. The first few of those it is meant for
// succeed and the next one fails for certain, so that no run goes without.
type unsteady struct {
	cacheFault
	rate float64

	mu      sync.Mutex
	rng     *rand.Rand
	matched int
	struck  int
}

const spared = 2 // requests or operations before the first that is certain to be struck

func (u *unsteady) strikes(op string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.rate == 0 || !slices.Contains(u.ops, op) {
		return false
	}
	u.matched++
	if u.matched != spared+1 && u.rate < 1 && u.rng.Float64() >= u.rate {
		return false
	}
	u.struck++
	return true
}

func (u *unsteady) end() (struck int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.rate = 0
	return u.struck
}

// unsteadyCache hands on to another cache what it does not fail. It is a cache of
// somebody else's: what our own ones state of themselves would let the components
// write to them directly, past the faults.
type unsteadyCache struct {
	res   *service.Resources
	label string
	fault *unsteady
}

func registerUnsteadyCache(env *service.Environment, fault *unsteady) error {
	spec := service.NewConfigSpec().Field(service.NewStringField("cache"))
	return env.RegisterCache("unsteady", spec, func(conf *service.ParsedConfig, res *service.Resources) (service.Cache, error) {
		label, err := conf.FieldString("cache")
		return unsteadyCache{res: res, label: label, fault: fault}, err
	})
}

// through runs an operation, or fails it before or after its effect.
func (c unsteadyCache) through(ctx context.Context, op string, effect func(service.Cache) error) (err error) {
	struck := c.fault.strikes(op)
	if struck && !c.fault.written {
		return errCacheDown
	}
	if accessErr := c.res.AccessCache(ctx, c.label, func(cache service.Cache) { err = effect(cache) }); accessErr != nil {
		err = accessErr
	}
	if struck {
		return errCacheDown
	}
	return err
}

// factsKey is the key under which our own caches state what they are.
const factsKey = "happyrobot_cache_facts"

func (c unsteadyCache) Get(ctx context.Context, key string) (value []byte, err error) {
	if key == factsKey {
		return nil, service.ErrKeyNotFound
	}
	err = c.through(ctx, opGet, func(cache service.Cache) error {
		value, err = cache.Get(ctx, key)
		return err
	})
	return value, err
}

func (c unsteadyCache) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.through(ctx, opSet, func(cache service.Cache) error { return cache.Set(ctx, key, value, ttl) })
}

func (c unsteadyCache) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	return c.through(ctx, opAdd, func(cache service.Cache) error { return cache.Add(ctx, key, value, ttl) })
}

func (c unsteadyCache) Delete(ctx context.Context, key string) error {
	return c.through(ctx, opDelete, func(cache service.Cache) error { return cache.Delete(ctx, key) })
}

func (c unsteadyCache) Close(context.Context) error { return nil }

func (u *unsteady) set(rate float64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.rate = rate
}

func (u *unsteady) strikesSoFar() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.struck
}
