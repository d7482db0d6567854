package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// policyInterval is how often Redis is asked for its eviction policy, once it was stated.
// It can be changed at any time, on connections that stay as they are.
const policyInterval = 5 * time.Second

// answerFacts answers store.FactsKey. Redis must have been asked once for that, so while
// it is away, this fails and whoever asks waits: nothing is written to a Redis of which it
// is not known whether it evicts.
func (c *cache) answerFacts(ctx context.Context) ([]byte, error) {
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
	return c.state(store.Facts{Data: contents, KeepsTTL: true, MayEvict: mayEvict(policies), Batcher: c}, len(policies) > 0)
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

// state makes the statement, and watches the eviction policy if it is shown.
func (c *cache) state(facts store.Facts, shown bool) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, errClosed
	}
	statement := store.State(facts)
	ctx, cancel := context.WithCancel(context.Background())
	c.statement, c.facts, c.unwatch = statement, facts, cancel
	if shown {
		c.watching.Go(func() { c.watchPolicy(ctx, statement, facts.MayEvict) })
	}
	return statement.Answer(), nil
}

// watchPolicy withdraws a statement once the eviction policy is not as stated. It ends
// with the statement.
func (c *cache) watchPolicy(ctx context.Context, statement *store.Statement, stated string) {
	for pause.Sleep(ctx, policyInterval) == nil {
		policies, err := exchange(ctx, c.client, c.askPolicies)
		if err == nil && len(policies) > 0 && mayEvict(policies) != stated {
			c.outdated(statement)
		}
	}
}

// withdraw closes the door for statements.
func (c *cache) withdraw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.forget()
}

// outdated ends a statement that does not hold any more.
func (c *cache) outdated(statement *store.Statement) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.statement == statement {
		c.forget()
	}
}

// forget ends the statement, so that Redis is asked again. The lock is held.
func (c *cache) forget() {
	if c.statement != nil {
		c.statement.Withdraw()
		c.unwatch()
	}
	c.statement, c.facts, c.unwatch = nil, store.Facts{}, nil
}

// nameContents reads the name of the contents, and gives them one if they have none.
func (c *cache) nameContents(ctx context.Context) (string, error) {
	name, err := c.get(ctx, store.ContentsKey)
	if !errors.Is(err, store.ErrNotFound) {
		return string(name), err
	}
	err = c.AddAll(ctx, []store.Item{{Key: store.ContentsKey, Value: []byte(rand.Text()), TTL: new(time.Duration)}})[0]
	if err != nil && !errors.Is(err, store.ErrExists) {
		return "", err
	}
	name, err = c.get(ctx, store.ContentsKey)
	return string(name), err
}

// changedError is why a new connection is not used: this Redis is not what was stated.
type changedError struct{ what string }

func (e *changedError) Error() string { return e.what }

func isChanged(err error) bool {
	_, is := errors.AsType[*changedError](err)
	return is
}

// connected sees each new connection. A server that comes back without the contents, or
// with a policy that evicts, or another one that took its place, is noticed before
// anything is asked of it or written to it. In a cluster the name of the contents is on
// one of the nodes, and is not looked at. That Redis does not evict any more can wait for
// watchPolicy, which sees all nodes.
func (c *cache) connected(ctx context.Context, ask goredis.Pipeliner) func() error {
	c.mu.Lock()
	statement, facts := c.statement, c.facts
	c.mu.Unlock()
	if statement == nil {
		return func() error { return nil }
	}
	var name *goredis.StringCmd
	if c.conf.client.kind != kindCluster {
		name = ask.Get(ctx, c.name(store.ContentsKey))
	}
	info := ask.Info(ctx, "memory")
	return func() error {
		if name != nil {
			is, err := name.Result()
			switch {
			case err != nil && strings.HasPrefix(err.Error(), "ERR unknown command"):
				return nil // a sentinel
			case err != nil && !errors.Is(err, goredis.Nil):
				return err
			case is != facts.Data:
				c.outdated(statement)
				return &changedError{"the contents of this Redis are others than before: it was emptied, lost its data, or is another one"}
			}
		}
		policy := policyIn(info.Val())
		if facts.MayEvict != "" || mayEvict([]string{policy}) == "" {
			return nil
		}
		c.outdated(statement)
		return &changedError{"this Redis did not evict before and may do it now: it has `maxmemory-policy " + policy + "`; set it to noeviction"}
	}
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
	if policy := policyIn(info); policy != "" {
		return policy, nil
	}
	config, err := server.ConfigGet(ctx, "maxmemory-policy").Result()
	return config["maxmemory-policy"], err
}

// policyIn finds the policy in an answer of INFO, "" if it is not there.
func policyIn(info string) string {
	for line := range strings.Lines(info) {
		if policy, ok := strings.CutPrefix(line, "maxmemory_policy:"); ok {
			return strings.TrimSpace(policy)
		}
	}
	return ""
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
