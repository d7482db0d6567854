package store

import (
	"crypto/rand"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// FactsKey is the key under which our own caches answer what they are: a value that
// FactsIn understands. It is answered from memory, it is never stored, and any cache can
// be asked: one that is not ours does not have the key. The name fits every store.
const FactsKey = "happyrobot_cache_facts"

// Facts are what one of our own caches states about itself. They hold from its opening
// until it is closed.
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

// State makes the statement of a cache that was just opened. The cache answers Get of
// FactsKey with its Answer, and calls Withdraw when it is closed.
func State(facts Facts) *Statement {
	s := &Statement{facts: facts, instance: rand.Text()}
	statements.Store(s.instance, s)
	return s
}

// Answer is the value of FactsKey. No two answers are equal, so that one which another
// cache keeps in front of ours is noticed.
func (s *Statement) Answer() []byte {
	return []byte(s.instance + "/" + strconv.FormatUint(s.answers.Add(1), 10))
}

// Withdraw ends the statement. It works twice.
func (s *Statement) Withdraw() { statements.Delete(s.instance) }

// Stated is what an answer says.
type Stated struct {
	Facts
	// Instance names this opening of the cache: another one answers with another.
	Instance string
	// Answer numbers the answers of an instance, upwards from 1.
	Answer uint64
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
