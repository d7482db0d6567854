package ledger

import (
	"context"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// Memory is a Store in this process' memory, for trials and tests: it forgets
// every call when the process ends.
type Memory struct {
	mu      sync.Mutex
	entries map[string]*memoryEntry
	// Oldest write first. Every ledger write has the same time to live, so the
	// oldest is also the next to expire.
	oldest, newest *memoryEntry
}

// memoryEntry is its own place in the order of writes: there is one for each lead,
// and the garbage collector visits whatever it points at.
type memoryEntry struct {
	key           string
	value         []byte
	expires       int64 // Unix nanoseconds; 0 is never
	before, after *memoryEntry
}

// NewMemory makes an empty in-process store.
func NewMemory() *Memory { return &Memory{entries: map[string]*memoryEntry{}} }

// Get implements Store.
func (m *Memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if !ok || e.expired(time.Now()) {
		return nil, store.ErrNotFound
	}
	return e.value, nil
}

// Set implements Store.
func (m *Memory) Set(_ context.Context, key string, value []byte, ttl *time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, value, ttl)
	return nil
}

// Add implements Store.
func (m *Memory) Add(_ context.Context, key string, value []byte, ttl *time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.entries[key]; ok && !e.expired(time.Now()) {
		return store.ErrExists
	}
	m.put(key, value, ttl)
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.entries[key]; ok {
		m.unlink(e)
		delete(m.entries, key)
	}
	return nil
}

func (m *Memory) put(key string, value []byte, ttl *time.Duration) {
	now := time.Now()
	for e := m.oldest; e != nil && e.expired(now); e = m.oldest {
		m.unlink(e)
		delete(m.entries, e.key)
	}
	e, ok := m.entries[key]
	if ok {
		m.unlink(e)
	} else {
		e = &memoryEntry{key: key}
		m.entries[key] = e
	}
	e.value, e.expires = value, 0
	if ttl != nil {
		e.expires = now.Add(*ttl).UnixNano()
	}
	m.append(e)
}

func (m *Memory) append(e *memoryEntry) {
	if e.before = m.newest; e.before != nil {
		e.before.after = e
	} else {
		m.oldest = e
	}
	m.newest = e
}

func (m *Memory) unlink(e *memoryEntry) {
	if e.before != nil {
		e.before.after = e.after
	} else {
		m.oldest = e.after
	}
	if e.after != nil {
		e.after.before = e.before
	} else {
		m.newest = e.before
	}
	e.before, e.after = nil, nil
}

func (e *memoryEntry) expired(now time.Time) bool {
	return e.expires != 0 && now.UnixNano() >= e.expires
}
