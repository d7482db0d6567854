package ledger

import (
	"container/list"
	"context"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// Memory is a Store in this process' memory, for trials and tests: it forgets
// every call when the process ends.
type Memory struct {
	mu      sync.Mutex
	entries map[string]*memoryEntry
	// byAge holds *memoryEntry, oldest write first. Every ledger write has the
	// same time to live, so the front is also the next to expire.
	byAge *list.List
}

type memoryEntry struct {
	key     string
	value   []byte
	expires time.Time // zero: never
	place   *list.Element
}

// NewMemory makes an empty in-process store.
func NewMemory() *Memory {
	return &Memory{entries: map[string]*memoryEntry{}, byAge: list.New()}
}

// Get implements Store.
func (m *Memory) Get(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if !ok || e.expired(time.Now()) {
		return nil, service.ErrKeyNotFound
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
		return service.ErrKeyAlreadyExists
	}
	m.put(key, value, ttl)
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e, ok := m.entries[key]; ok {
		m.remove(e)
	}
	return nil
}

func (m *Memory) put(key string, value []byte, ttl *time.Duration) {
	now := time.Now()
	for front := m.byAge.Front(); front != nil && front.Value.(*memoryEntry).expired(now); front = m.byAge.Front() {
		m.remove(front.Value.(*memoryEntry))
	}
	e, ok := m.entries[key]
	if ok {
		e.value = value
		m.byAge.MoveToBack(e.place)
	} else {
		e = &memoryEntry{key: key, value: value}
		e.place = m.byAge.PushBack(e)
		m.entries[key] = e
	}
	e.expires = time.Time{}
	if ttl != nil {
		e.expires = now.Add(*ttl)
	}
}

func (m *Memory) remove(e *memoryEntry) {
	m.byAge.Remove(e.place)
	delete(m.entries, e.key)
}

func (e *memoryEntry) expired(now time.Time) bool {
	return !e.expires.IsZero() && !now.Before(e.expires)
}
