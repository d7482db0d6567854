package redis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// retry tries something until it succeeds, fails for a reason that lasts, or `retries` or
// ctx end.
func (c *cache) retry(ctx context.Context, try func() error) error {
	began := time.Now()
	var pauses *pause.Growing
	for {
		err := try()
		switch cause := context.Cause(ctx); {
		case err == nil || lasts(err) || errors.Is(err, cause) && cause != nil:
			return err
		case cause != nil:
			return fmt.Errorf("%w (the last try failed: %w)", cause, err)
		}
		if pauses == nil {
			pauses = pause.NewGrowing(c.conf.first, c.conf.limit)
		}
		wait := pauses.Next()
		if c.conf.patience > 0 && time.Since(began)+wait > c.conf.patience {
			return err
		}
		if stopped := pause.Sleep(ctx, wait); stopped != nil {
			return fmt.Errorf("%w (the last try failed: %w)", stopped, err)
		}
	}
}

func (c *cache) name(key string) string { return c.conf.prefix + key }

// ttl is how long an item is kept, 0 until it is deleted.
func (c *cache) ttl(item store.Item) time.Duration {
	if item.TTL == nil {
		return c.conf.defaultTTL
	}
	return max(*item.TTL, 0)
}

func (c *cache) get(ctx context.Context, key string) (value []byte, err error) {
	absent := false
	err = c.retry(ctx, func() error {
		value, err = exchange(ctx, c.client, func(ctx context.Context) ([]byte, error) {
			return c.client.Get(ctx, c.name(key)).Bytes()
		})
		if absent = errors.Is(err, goredis.Nil); absent {
			return nil
		}
		return err
	})
	if absent {
		return nil, store.ErrNotFound
	}
	return value, err
}

// remove deletes a key. After a lost answer it is not repeated: the key may be deleted, and
// another writer may have added it since, whose item must stay. Whoever asked for it knows
// whether to look at the item before trying again.
func (c *cache) remove(ctx context.Context, key string) error {
	lost := new(atomic.Bool)
	var inDoubt error
	err := c.retry(ctx, func() error {
		_, err := finish(withLost(ctx, lost), c.client, func(ctx context.Context) (int64, error) {
			return c.client.Del(ctx, c.name(key)).Result()
		})
		if err != nil && lost.Load() {
			inDoubt = err
			return nil
		}
		return err
	})
	if inDoubt != nil {
		return inDoubt
	}
	return err
}

// SetAll implements store.Batcher, in one round trip, or one to each node of a cluster.
func (c *cache) SetAll(ctx context.Context, items []store.Item) error {
	if len(items) == 0 {
		return nil
	}
	return c.retry(ctx, func() error {
		_, err := finish(ctx, c.client, func(ctx context.Context) ([]goredis.Cmder, error) {
			return c.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
				for _, item := range items {
					p.Set(ctx, c.name(item.Key), item.Value, c.ttl(item))
				}
				return nil
			})
		})
		return err
	})
}

// AddAll implements store.Batcher, in one round trip, or one to each node of a cluster.
//
// A lost answer leaves in doubt whether an item was added. It is added again, and if it
// exists then, it is looked at:
//
//  1. Another value, or another TTL than one that was set since the first try: it is
//     another writer's.
//  2. Otherwise it is ours.
//
// One hole remains: of two writers that add the same value under the same key, both may
// be told that it is theirs if one of them loses an answer and the other writes between
// its tries; without TTL, if it wrote at any time before. A ledger writes another value
// each time, so there the value proves it.
func (c *cache) AddAll(ctx context.Context, items []store.Item) []error {
	began := time.Now()
	answers := make([]error, len(items))
	open := make([]int, len(items)) // not known to be added or to exist
	for i := range open {
		open[i] = i
	}
	lost := new(atomic.Bool)
	if err := c.retry(ctx, func() error {
		if len(open) == 0 {
			return nil
		}
		added, err := c.tryAdding(withLost(ctx, lost), items, open)
		if err != nil { // of the exchange as a whole, such as the end of ctx
			for _, i := range open {
				answers[i] = err
			}
			return err
		}
		var still []int
		var failed error
		for n, i := range open {
			answers[i] = added[n]
			if errors.Is(answers[i], store.ErrExists) && lost.Load() {
				answers[i] = c.inDoubt(ctx, items[i], began)
			}
			if err := answers[i]; err != nil && !errors.Is(err, store.ErrExists) && !lasts(err) {
				still, failed = append(still, i), err
			}
		}
		open = still
		return failed
	}); err != nil {
		for _, i := range open {
			answers[i] = err
		}
	}
	return answers
}

// errUnsent: a command was not sent. The driver leaves it as it is where Redis refuses the
// connection, and without an error it reads as "exists".
var errUnsent = errors.New("not sent")

// tryAdding adds the open items once, and has an answer for each of them.
func (c *cache) tryAdding(ctx context.Context, items []store.Item, open []int) ([]error, error) {
	return finish(ctx, c.client, func(ctx context.Context) ([]error, error) {
		added := make([]*goredis.BoolCmd, len(open))
		_, failed := c.client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for n, i := range open {
				added[n] = p.SetNX(ctx, c.name(items[i].Key), items[i].Value, c.ttl(items[i]))
				added[n].SetErr(errUnsent)
			}
			return nil
		})
		answers := make([]error, len(open))
		for n, cmd := range added {
			isNew, err := cmd.Result()
			switch {
			case errors.Is(err, errUnsent) && failed != nil:
				answers[n] = c.client.explain(failed)
			case err != nil:
				answers[n] = c.client.explain(err)
			case !isNew:
				answers[n] = store.ErrExists
			}
		}
		return answers, nil
	})
}

// errGone: an item that existed is gone. It can be added again.
var errGone = errors.New("the item expired or was deleted meanwhile")

// inDoubt tells an item that we added, and whose answer was lost, from another writer's.
func (c *cache) inDoubt(ctx context.Context, item store.Item, began time.Time) error {
	type found struct {
		value []byte
		left  time.Duration
	}
	is, err := exchange(ctx, c.client, func(ctx context.Context) (found, error) {
		var value *goredis.StringCmd
		var left *goredis.DurationCmd
		_, err := c.client.TxPipelined(ctx, func(p goredis.Pipeliner) error { // both of the same moment
			value, left = p.Get(ctx, c.name(item.Key)), p.PTTL(ctx, c.name(item.Key))
			return nil
		})
		if err != nil {
			return found{}, err
		}
		stored, err := value.Bytes()
		return found{stored, left.Val()}, err
	})
	switch {
	case errors.Is(err, goredis.Nil):
		return errGone
	case err != nil:
		return err
	case !bytes.Equal(is.value, item.Value):
		return store.ErrExists
	case !setSince(is.left, c.ttl(item), time.Since(began)):
		return store.ErrExists
	}
	return nil
}

// setSince reports whether an item of which a time is left was written with a ttl, no
// longer ago than elapsed.
func setSince(left, ttl, elapsed time.Duration) bool {
	const rounding = 2 * time.Millisecond // of the time that is left
	if ttl == 0 {
		return left < 0 // it does not expire
	}
	return left <= ttl+rounding && left >= ttl-elapsed-rounding
}
