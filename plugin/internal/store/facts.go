package store

import (
	"context"
	"crypto/rand"
	"errors"
	mrand "math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// FactsKey is the key under which our own caches answer what they are: Get with a value
// that FactsIn understands, Add with ErrExists. Both are answered from memory, nothing is
// ever stored, and any cache can be asked: one that is not ours does not have the key. A
// cache that was closed, or does not know yet what it is, answers with another error than
// ErrNotFound. The name fits every store.
const FactsKey = "happyrobot_cache_facts"

// ContentsKey is the key under which a cache on a server keeps the name of its contents,
// beside the items and without TTL: a server that was emptied does not have it any more.
// Databases have it already, so it stays as it is.
const ContentsKey = "happyrobot_cache_data"

// Facts are what one of our own caches states about itself. They hold until
// it is closed, or withdraws them because its server has changed.
type Facts struct {
	// Data names the contents. It stays while what was written stays: a file that is
	// opened again has the same, another file or an emptied database has another.
	Data string
	// Exclusive says that no other process can use the same contents at the same time.
	Exclusive bool
	// KeepsTTL says that an item is kept for as long as its TTL says, and then forgotten.
	KeepsTTL bool
	// MayEvict says why an item may go before its time, "" if none does: words that
	// follow "because".
	MayEvict string
	// Batcher writes to the same contents, many items at once. Nil if the cache cannot.
	Batcher Batcher
}

// Statement is an open cache's Facts, to be answered under FactsKey.
type Statement struct {
	facts    Facts
	instance string
	answers  atomic.Uint64
}

// statements are the Statements of all open caches of this process, by instance. Benthos
// hides the type of a cache behind its label, and a cache that replaces another does not
// even learn the label: what it answers is all that can be known of it.
var statements sync.Map

// stated counts the Statements that were ever made.
var stated atomic.Uint64

// State makes the statement of a cache that was just opened. The cache answers Get of
// FactsKey with its Answer until that holds no longer, and then calls Withdraw.
func State(facts Facts) *Statement {
	s := &Statement{facts: facts, instance: rand.Text()}
	statements.Store(s.instance, s)
	stated.Add(1)
	return s
}

// Answer is the value of FactsKey. No two answers are equal, so that one which another
// cache keeps in front of ours is noticed.
func (s *Statement) Answer() []byte {
	return []byte(s.instance + "/" + strconv.FormatUint(s.answers.Add(1), 10))
}

// Withdraw ends the statement. It works twice.
func (s *Statement) Withdraw() { statements.Delete(s.instance) }

// StatementsMade counts the statements of this process, those that were withdrawn
// included. While it stays the same, no cache of ours can have taken another's place.
func StatementsMade() uint64 { return stated.Load() }

// Stated is what an answer says.
type Stated struct {
	Facts
	// Instance names this opening of the cache: another one answers with another.
	Instance string
	// Answer numbers the answers of an instance, upwards from 1.
	Answer uint64
}

// Stands reports whether what was stated holds: the cache is open, and has not withdrawn
// it. One that is replaced is closed before.
func (s Stated) Stands() bool {
	_, stands := statements.Load(s.Instance)
	return stands
}

// FactsIn reads an answer to FactsKey, and reports false for what no open cache of this
// process has answered.
func FactsIn(answer []byte) (Stated, bool) {
	instance, number, _ := strings.Cut(string(answer), "/")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return Stated{}, false
	}
	s, ok := statements.Load(instance)
	if !ok {
		return Stated{}, false
	}
	return Stated{Facts: s.(*Statement).facts, Instance: instance, Answer: n}, true
}

// askings is how often Ask asks while others ask the same cache.
const askings = 20

// Ask asks a cache what it is, and reports false for one that is not ours. Ours behind
// another cache is not: whoever writes to it directly writes past that one. With an
// error nothing is known.
func Ask(ctx context.Context, cache Store) (facts Stated, ours bool, err error) {
	for range askings {
		before, ours, err := ask(ctx, cache)
		if err != nil || !ours {
			return Stated{}, false, err
		}
		// A cache in front of others gets a key from them before it adds it, which takes
		// an answer. Or it has kept the answer, and then gives the same again.
		second := time.Second
		if err := cache.Add(ctx, FactsKey, []byte("asked"), &second); err != nil && !errors.Is(err, ErrExists) {
			return Stated{}, false, err
		}
		after, ours, err := ask(ctx, cache)
		switch {
		case err != nil || !ours || after.Answer <= before.Answer:
			return Stated{}, false, err
		case after.Instance == before.Instance && after.Answer == before.Answer+1:
			return after, true, nil
		}
		// Or somebody else asked in between.
		select {
		case <-time.After(mrand.N(time.Millisecond)): //nolint:gosec // keeps no secret
		case <-ctx.Done():
			return Stated{}, false, ctx.Err()
		}
	}
	return Stated{}, false, nil
}

func ask(ctx context.Context, cache Store) (Stated, bool, error) {
	answer, err := cache.Get(ctx, FactsKey)
	if errors.Is(err, ErrNotFound) {
		return Stated{}, false, nil
	}
	if err != nil {
		return Stated{}, false, err
	}
	stated, ours := FactsIn(answer)
	return stated, ours, nil
}
