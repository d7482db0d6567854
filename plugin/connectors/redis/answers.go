package redis

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
)

// answers notes lost answers in the flag that a context carries. It sits below the
// cluster client, which sends a command again by itself after an answer was lost, and
// says nothing of it.
type answers struct{}

type lostKey struct{}

// withLost makes exchanges note in lost that a command may have been executed and its
// answer was lost.
func withLost(ctx context.Context, lost *atomic.Bool) context.Context {
	return context.WithValue(ctx, lostKey{}, lost)
}

func note(ctx context.Context, err error) {
	if lost, ok := ctx.Value(lostKey{}).(*atomic.Bool); ok && mayHaveRun(err) {
		lost.Store(true)
	}
}

// mayHaveRun reports whether a command that failed may have been executed: unless the
// server refused it, or never got it.
func mayHaveRun(err error) bool {
	if err == nil || isReply(err) || isChanged(err) || errors.Is(err, goredis.ErrPoolTimeout) {
		return false
	}
	var op *net.OpError
	return !errors.As(err, &op) || op.Op != "dial"
}

// isReply reports whether the server itself answered with an error.
func isReply(err error) bool {
	var reply goredis.Error
	return errors.As(err, &reply)
}

// DialHook implements goredis.Hook.
func (answers) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// ProcessHook implements goredis.Hook.
func (answers) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		note(ctx, err)
		return err
	}
}

// ProcessPipelineHook implements goredis.Hook.
func (answers) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		err := next(ctx, cmds)
		note(ctx, err)
		return err
	}
}
