package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/redpanda-data/benthos/v4/public/service"
)

const ( // rc: redis client
	rcFieldURL        = "url"
	rcFieldKind       = "kind"
	rcFieldMaster     = "master"
	rcFieldClientName = "client_name"
	rcFieldTLS        = "tls"

	kindSimple   = "simple"
	kindCluster  = "cluster"
	kindFailover = "failover"
)

// The driver writes to stderr, past the log of the stream, and each line again for each
// try. What it says there is in the errors that it returns, too.
func init() { logging.Disable() }

// poolSize bounds the connections to a server. The driver's own bound, ten for each
// processor, makes the requests of a small container wait for each other.
const poolSize = 64

// protocol is the version of Redis' protocol. Nothing of 3 is used, and it is slower: the
// driver looks for pushes before each answer.
const protocol = 2

// exchangeTimeout is how long an answer may take before it counts as lost.
const exchangeTimeout = 3 * time.Second

func clientFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewURLField(rcFieldURL).
			Description("The Redis to use. User, password, port and database are optional: `redis://user:password@host:6379/1`. Characters of a password that are special in URLs are written as in `%2F`. `rediss://` turns TLS on. For `kind: cluster` it is one or more nodes of the cluster, for `kind: failover` the sentinels, separated by commas as in `redis://sentinel-1:26379,redis://sentinel-2:26379`; database, user and password of the last of them are used.").
			Secret(), // Benthos' own masking of URLs lets the password of a list pass
		service.NewStringEnumField(rcFieldKind, kindSimple, kindCluster, kindFailover).
			Description("Which Redis it is: `simple` for a single server (or one address that stands for it), `cluster` for Redis Cluster, `failover` for servers that Sentinel watches.").
			Default(kindSimple).
			Advanced(),
		service.NewStringField(rcFieldMaster).
			Description("With `kind: failover`, the name that the sentinels know the primary by.").
			Default("").
			Example("mymaster").
			Advanced(),
		service.NewStringField(rcFieldClientName).
			Description("The name that connections have in Redis' `CLIENT LIST`. A Redis that does not take it, such as one before version 6, shows none.").
			Default("redpanda-connect").
			Advanced(),
		service.NewTLSToggledField(rcFieldTLS).
			Description("TLS for the connections to Redis. A `url` that begins with `rediss://` turns it on as well."),
	}
}

// clientLint refuses what no client can be made of. A spec has one lint rule, and the
// fields that it is about are in all specs.
const clientLint = `root = if this.kind.or("simple") == "failover" && this.master.or("") == "" { [ "` + "`master`" + ` must be set with ` + "`kind: failover`" + `" ] }`

type clientConfig struct {
	kind, master, name string
	addrs              []string
	db                 int
	user, password     string
	tls                *tls.Config
}

func clientConfigFromParsed(parsed *service.ParsedConfig) (conf clientConfig, err error) {
	urls, err := parsed.FieldString(rcFieldURL)
	if err != nil {
		return conf, err
	}
	secure := false
	for text := range strings.SplitSeq(urls, ",") {
		o, err := parseURL(strings.TrimSpace(text))
		if err != nil {
			return conf, fmt.Errorf("field %s: %w", rcFieldURL, err)
		}
		conf.addrs = append(conf.addrs, o.Addr)
		// Of the last one, as it was with Connect: another database is another ledger.
		conf.db, conf.user, conf.password = o.DB, o.Username, o.Password
		secure = secure || o.TLSConfig != nil
	}
	if conf.kind, err = parsed.FieldString(rcFieldKind); err != nil {
		return conf, err
	}
	if conf.master, err = parsed.FieldString(rcFieldMaster); err != nil {
		return conf, err
	}
	if conf.kind == kindFailover && conf.master == "" {
		return conf, fmt.Errorf("field %s: must be set with `%s: %s`", rcFieldMaster, rcFieldKind, kindFailover)
	}
	if conf.name, err = parsed.FieldString(rcFieldClientName); err != nil {
		return conf, err
	}
	set, on, err := parsed.FieldTLSToggled(rcFieldTLS)
	if err != nil {
		return conf, fmt.Errorf("field %s: %w", rcFieldTLS, err)
	}
	switch {
	case on:
		conf.tls = set
	case secure:
		conf.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return conf, nil
}

// parseURL reads one URL. No error repeats it: it may hold a password.
func parseURL(text string) (*goredis.Options, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("this is no URL; write redis://user:password@host:6379/0, and special characters of the password as in %2F")
	}
	if u.Scheme == "tcp" {
		u.Scheme = "redis"
	}
	switch u.Scheme {
	case "redis", "rediss", "unix":
	default:
		return nil, fmt.Errorf("scheme %q is not one of redis, rediss, unix", u.Scheme)
	}
	o, err := goredis.ParseURL(u.String())
	if err != nil {
		return nil, errors.New("the path must be the number of a database, and there is no query: redis://host:6379/0")
	}
	return o, nil
}

// client is a Redis, and the exchanges with it that are under way.
type client struct {
	goredis.UniversalClient
	kind   string
	secure bool // by TLS

	mu     sync.Mutex
	closed bool
	active sync.WaitGroup
}

// watch looks at a new connection, in the round trip that it begins with: it asks what it
// wants to know, and judges the answers. Nil asks nothing.
type watch func(ctx context.Context, ask goredis.Pipeliner) (judge func() error)

// newClient makes a client. It connects when it is first used. With kind failover, watch
// sees the connections to the sentinels, too.
//
// The driver repeats nothing: after a lost answer only the caller knows what a repeated
// command means.
func newClient(conf clientConfig, watch watch) *client {
	c := &client{kind: conf.kind, secure: conf.tls != nil}
	o := goredis.UniversalOptions{
		Addrs: conf.addrs, DB: conf.db, Username: conf.user, Password: conf.password,
		TLSConfig: conf.tls, MasterName: conf.master, OnConnect: greet(conf.name, watch),
		MaxRetries: -1, DialerRetries: 1, DisableIdentity: true,
		ReadTimeout: exchangeTimeout, WriteTimeout: exchangeTimeout,
		PoolSize:                 poolSize,
		Protocol:                 protocol,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	switch conf.kind {
	case kindCluster:
		cluster := o.Cluster()
		cluster.NewClient = func(o *goredis.Options) *goredis.Client {
			node := goredis.NewClient(o)
			node.AddHook(answers{})
			return node
		}
		c.UniversalClient = goredis.NewClusterClient(cluster)
		return c
	case kindFailover:
		c.UniversalClient = goredis.NewFailoverClient(o.Failover())
	default:
		c.UniversalClient = goredis.NewClient(o.Simple())
	}
	c.AddHook(answers{})
	return c
}

// greet begins a connection. It gives it its name with HELLO, which every user may send:
// CLIENT SETNAME, by which the driver does it, is often not among a user's commands. A
// server that does not take the name does without.
func greet(name string, watch watch) func(context.Context, *goredis.Conn) error {
	return func(ctx context.Context, conn *goredis.Conn) error {
		if ctx.Err() != nil { // and so the command that waits for this is not sent any more
			return context.Cause(ctx)
		}
		pipeline, judge := conn.Pipeline(), func() error { return nil }
		if name != "" {
			pipeline.Hello(ctx, protocol, "", "", name)
		}
		if watch != nil {
			judge = watch(ctx, pipeline)
		}
		asked, _ := pipeline.Exec(ctx) // the error of the first one says nothing of the others
		for _, cmd := range asked {
			if err := cmd.Err(); err != nil && !isReply(err) {
				return err
			}
		}
		return judge()
	}
}

var errClosed = errors.New("the Redis client is closed")

// begin notes an exchange, which must be ended by c.active.Done.
func (c *client) begin(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return errClosed
	}
	c.active.Add(1)
	return nil
}

// finish does something with Redis, and returns when it has its own answer, also after
// the end of ctx: what is said of a write must be true. A claim that is called lost, and
// lands later, would hold its lead. The driver bounds it by exchangeTimeout.
func finish[T any](ctx context.Context, c *client, do func(context.Context) (T, error)) (value T, err error) {
	if err := c.begin(ctx); err != nil {
		return value, err
	}
	defer c.active.Done()
	value, err = do(ctx)
	return value, c.explain(err)
}

// exchange does something with Redis that changes nothing, and returns when ctx ends: the
// driver watches a context only while it waits for a connection. What was begun ends by
// itself, soon after exchangeTimeout or with the client.
func exchange[T any](ctx context.Context, c *client, do func(context.Context) (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	var none T
	if err := c.begin(ctx); err != nil {
		return none, err
	}
	done := make(chan result, 1)
	go func() {
		defer c.active.Done()
		value, err := do(ctx)
		done <- result{value, c.explain(err)}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}

// closing is how long close waits for exchanges under way. What Redis does not answer
// ends later, soon after exchangeTimeout.
const closing = time.Second

// close cuts the connections and waits for the exchanges that are under way. It works twice.
func (c *client) close(ctx context.Context) error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	var err error
	if first {
		err = c.Close()
	}
	ended := make(chan struct{})
	go func() { // ends with the last exchange
		c.active.Wait()
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, closing)
	defer cancel()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return err
}
