package redis

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// contentsKey is kept in Redis beside the items, and names them: a Redis that was emptied
// gets another one. It has no TTL.
const contentsKey = "happyrobot_cache_data"

// facts answers store.FactsKey. Redis must have been asked once for that, so while it is
// away, this fails and whoever asks waits: nothing is written to a Redis of which it is
// not known whether it evicts.
func (c *cache) facts(ctx context.Context) ([]byte, error) {
	if answer, err := c.stated(); answer != nil || err != nil {
		return answer, err
	}
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if answer, err := c.stated(); answer != nil || err != nil {
		return answer, err // somebody else asked meanwhile
	}
	contents, err := c.nameContents(ctx)
	if err != nil {
		return nil, fmt.Errorf("naming the contents of Redis: %w", err)
	}
	policies, err := c.policies(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading maxmemory-policy: %w", err)
	}
	if len(policies) == 0 {
		c.log.Warnf("Eviction policy of Redis unknown: it does not show its settings to this user. Check that `maxmemory-policy` is noeviction; under another one Redis may forget calls, and leads are called twice.")
	}
	return c.state(store.Facts{Data: contents, KeepsTTL: true, MayEvict: mayEvict(policies), Batcher: c})
}

// stated answers with the statement, or nothing while there is none.
func (c *cache) stated() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errClosed
	case c.statement == nil:
		return nil, nil
	}
	return c.statement.Answer(), nil
}

func (c *cache) state(facts store.Facts) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	c.contents, c.statement = facts.Data, store.State(facts)
	return c.statement.Answer(), nil
}

// withdraw closes the door for statements.
func (c *cache) withdraw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.forget()
}

// forget ends the statement, so that Redis is asked again. The lock is held.
func (c *cache) forget() {
	if c.statement != nil {
		c.statement.Withdraw()
	}
	c.contents, c.statement = "", nil
}

// nameContents reads the name of the contents, and gives them one if they have none.
func (c *cache) nameContents(ctx context.Context) (string, error) {
	err := c.AddAll(ctx, []store.Item{{Key: contentsKey, Value: []byte(rand.Text()), TTL: new(time.Duration)}})[0]
	if err != nil && !errors.Is(err, store.ErrExists) {
		return "", err
	}
	name, err := c.get(ctx, contentsKey)
	return string(name), err
}

var errReplaced = errors.New("the contents of this Redis are others than before: it was emptied, lost its data, or is another one")

// connected sees each new connection to a primary. A server that comes back without the
// contents, or another one that took its place, is noticed before anything is asked of it
// or written to it. In a cluster the name is on one of the nodes, and is not looked at.
func (c *cache) connected(ctx context.Context, conn *goredis.Conn) error {
	c.mu.Lock()
	expected := c.contents
	c.mu.Unlock()
	if expected == "" {
		return nil
	}
	name, err := conn.Get(ctx, c.name(contentsKey)).Result()
	switch {
	case err != nil && !errors.Is(err, goredis.Nil):
		return err
	case name == expected:
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.contents == expected {
		c.forget()
	}
	return errReplaced
}

// policies reads the eviction policy of each primary. It is empty where one does not say.
func (c *cache) policies(ctx context.Context) (policies []string, err error) {
	err = c.retry(ctx, func() error {
		policies, err = exchange(ctx, c.client, c.askPolicies)
		return err
	})
	if isReply(err) && lasts(err) {
		return nil, nil // forbidden, or not known to what stands for a Redis
	}
	return policies, err
}

func (c *cache) askPolicies(ctx context.Context) (policies []string, err error) {
	cluster, ok := c.client.UniversalClient.(*goredis.ClusterClient)
	if !ok {
		policy, err := policyOf(ctx, c.client)
		if policy == "" {
			return nil, err
		}
		return []string{policy}, err
	}
	var mu sync.Mutex
	unknown := false
	err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *goredis.Client) error {
		policy, err := policyOf(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		unknown = unknown || policy == ""
		policies = append(policies, policy)
		return err
	})
	if unknown {
		return nil, err
	}
	return policies, err
}

// policyOf asks a server with INFO, which many managed ones allow that forbid CONFIG.
func policyOf(ctx context.Context, server goredis.Cmdable) (string, error) {
	info, err := server.Info(ctx, "memory").Result()
	if err != nil {
		return "", err
	}
	for lines := bufio.NewScanner(strings.NewReader(info)); lines.Scan(); {
		if policy, ok := strings.CutPrefix(lines.Text(), "maxmemory_policy:"); ok {
			return strings.TrimSpace(policy), nil
		}
	}
	config, err := server.ConfigGet(ctx, "maxmemory-policy").Result()
	return config["maxmemory-policy"], err
}

// mayEvict is what a ledger refuses. An evicting policy counts also while no maxmemory is
// set: setting it later would make Redis forget calls without a word.
func mayEvict(policies []string) string {
	for _, policy := range policies {
		if policy != "noeviction" && policy != "" {
			return fmt.Sprintf("its Redis has `maxmemory-policy %s`", policy)
		}
	}
	return ""
}
