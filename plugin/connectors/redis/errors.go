package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
)

// trouble is an error of Redis with what to do about it.
type trouble struct {
	what string
	err  error
	// lasting trouble does not pass by itself within seconds: trying again is of no use.
	lasting bool
}

// Error has no full stop at its end, as Redis' own errors often do: it ends a sentence.
func (t *trouble) Error() string { return t.what + ": " + strings.TrimRight(t.err.Error(), ".") }

func (t *trouble) Unwrap() error { return t.err }

// replies are errors that Redis answers with, by their first word.
var replies = map[string]trouble{
	"READONLY":    {what: "this Redis is a read-only replica; name the primary in `url`, or use `kind: failover` with the sentinels"},
	"MOVED":       {what: "this Redis is a node of a cluster; set `kind: cluster`", lasting: true},
	"ASK":         {what: "this Redis is a node of a cluster; set `kind: cluster`", lasting: true},
	"CROSSSLOT":   {what: "this Redis is a node of a cluster; set `kind: cluster`", lasting: true},
	"OOM":         {what: "Redis has no memory left for writes; raise its `maxmemory`, or remove keys"},
	"NOAUTH":      {what: "Redis wants a password; put it into `url`: redis://:password@host:6379", lasting: true},
	"WRONGPASS":   {what: "Redis refused the user or the password in `url`; special characters of a password are written as in %2F", lasting: true},
	"NOPERM":      {what: "Redis forbids this command or key to the user in `url`; extend its ACL", lasting: true},
	"WRONGTYPE":   {what: "the key is used by another program, for something that is no string; set a `prefix` of your own", lasting: true},
	"LOADING":     {what: "Redis is still loading its data after a start"},
	"MASTERDOWN":  {what: "this Redis is a replica that has lost its primary"},
	"CLUSTERDOWN": {what: "the Redis cluster is down: some of its slots have no primary"},
	"TRYAGAIN":    {what: "the Redis cluster is moving this key between nodes"},
	"NOREPLICAS":  {what: "Redis has fewer replicas in reach than its `min-replicas-to-write`"},
	"MISCONF":     {what: "Redis cannot write its data to disk, and takes no writes until it can; see its log"},
	"BUSY":        {what: "Redis is busy with a script"},
}

const noTLS = "if it does not speak TLS on this port, turn `tls.enabled` off and write redis:// for rediss://, or use its TLS port"

// explain adds to an error what to do about it. The causes themselves name addresses, but
// neither passwords nor contents.
func (c *client) explain(err error) error {
	var header tls.RecordHeaderError
	var verify *tls.CertificateVerificationError
	switch {
	case err == nil || errors.Is(err, goredis.Nil) || isChanged(err):
		return err
	case isReply(err):
		return c.ofReply(err)
	case errors.Is(err, goredis.ErrClosed):
		return errClosed
	case errors.As(err, &header):
		return &trouble{what: "this is no TLS port; " + noTLS, err: err, lasting: true}
	case errors.As(err, &verify):
		return &trouble{what: "the certificate of Redis is not trusted; set `tls.root_cas_file`, and in `url` a host name that the certificate has", err: err, lasting: true}
	case errors.Is(err, syscall.ECONNREFUSED):
		return &trouble{what: "no Redis listens at this address; check `url`, and that Redis runs", err: err}
	case errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET):
		if c.secure {
			return &trouble{what: "Redis closed the connection; " + noTLS, err: err}
		}
		return &trouble{what: "Redis closed the connection; if this is its TLS port, set `tls.enabled: true`", err: err}
	}
	var resolve *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &resolve):
		return &trouble{what: "the host in `url` is not known", err: err}
	case errors.Is(err, goredis.ErrPoolTimeout):
		return &trouble{what: "all connections to Redis are in use; Redis is too slow", err: err}
	case errors.As(err, &timeout) && timeout.Timeout() && c.secure:
		return &trouble{what: "Redis did not answer in time; " + noTLS, err: err}
	case errors.As(err, &timeout) && timeout.Timeout():
		return &trouble{what: "Redis did not answer in time", err: err}
	}
	return fmt.Errorf("talking to Redis: %w", err)
}

func (c *client) ofReply(err error) error {
	word, _, _ := strings.Cut(err.Error(), " ")
	known, ok := replies[word]
	switch {
	case ok && c.kind == kindCluster && (word == "MOVED" || word == "ASK"):
		known = trouble{what: "the Redis cluster is moving its keys between nodes"}
	case ok:
	case strings.Contains(err.Error(), "max number of clients"):
		known = trouble{what: "Redis has as many connections as its `maxclients` allows"}
	case strings.Contains(err.Error(), "invalid password"):
		known = replies["WRONGPASS"] // before Redis 6
	case strings.Contains(err.Error(), "DB index"):
		known = trouble{what: "Redis does not have the database in `url`", lasting: true}
	default:
		known = trouble{what: "Redis refused the command", lasting: true}
	}
	known.err = err
	return &known
}

// lasts reports whether trying again soon is of no use.
func lasts(err error) bool {
	var t *trouble
	return errors.As(err, &t) && t.lasting || errors.Is(err, errClosed) || isChanged(err)
}
