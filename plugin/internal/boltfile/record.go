package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// A record is a format byte, the expiry, the time at which the expiry index has it, and the value. Times are Unix
// milliseconds, 0 is never. A record that is written again keeps its place in the index, so that renewing one, as a
// ledger does with each, costs no change there: when its time has come there, it gets the place of its expiry.
const (
	recordFormat = 2
	expiryLen    = 8
	headerLen    = 1 + 2*expiryLen
)

// Keys are limited so that an index key, which has the expiry in front, still fits.
const maxKeyLen = bbolt.MaxKeySize - expiryLen

// A record is fresh until it is written again. The fresh ones have a tree of their own: a ledger writes each record
// twice within moments, at a random place of a large tree, and for each such write a page of the file is written. In the
// small tree of what was just claimed, many claims share a page.
var (
	freshTree   = []byte("fresh")
	recordsTree = []byte("records")
	expiryTree  = []byte("expiry") // expiry and key → nothing; ordered by time, so a sweep reads only what is due
)

type record struct {
	key    []byte
	stored []byte
}

func (r record) setIndexed(at int64) {
	binary.BigEndian.PutUint64(r.stored[1+expiryLen:], uint64(at))
}

// newRecord refuses whatever bbolt would refuse: a record must not fail inside a transaction it shares with others.
func newRecord(key string, value []byte, lifetime time.Duration, now time.Time) (record, error) {
	switch {
	case key == "":
		return record{}, errors.New("storing an item: its key is empty")
	case len(key) > maxKeyLen:
		return record{}, fmt.Errorf("storing an item: its key has %d bytes, at most %d are possible", len(key), maxKeyLen)
	case len(value) > bbolt.MaxValueSize-headerLen:
		return record{}, fmt.Errorf("storing an item: its value has %d bytes, at most %d are possible", len(value), bbolt.MaxValueSize-headerLen)
	}
	var expiry int64
	if lifetime > 0 {
		expiry = now.Add(lifetime).Add(time.Millisecond - 1).UnixMilli() // rounded up: never early
	}
	stored := make([]byte, headerLen, headerLen+len(value))
	stored[0] = recordFormat
	binary.BigEndian.PutUint64(stored[1:], uint64(expiry))
	return record{key: []byte(key), stored: append(stored, value...)}, nil
}

// decode takes a record it does not recognise as a value without expiry. A damaged record stays present that
// way: whoever reads it must judge it, and an Add must not pass over it.
func decode(stored []byte) (value []byte, expiry, indexed int64) {
	if len(stored) < headerLen || stored[0] != recordFormat {
		return stored, 0, 0
	}
	expiry = int64(binary.BigEndian.Uint64(stored[1:]))
	indexed = int64(binary.BigEndian.Uint64(stored[1+expiryLen:]))
	if expiry < 0 || indexed < 0 {
		return stored, 0, 0
	}
	return stored[headerLen:], expiry, indexed
}

func indexKey(expiry int64, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, expiryLen+len(key)), uint64(expiry)), key...)
}

// bucketName names a top-level bucket that holds the records and their expiry index.
type bucketName string

func (b bucketName) create(tx *bbolt.Tx) error {
	top, err := tx.CreateBucketIfNotExists([]byte(b))
	if err != nil {
		return err
	}
	for _, tree := range [][]byte{freshTree, recordsTree, expiryTree} {
		if _, err := top.CreateBucketIfNotExists(tree); err != nil {
			return err
		}
	}
	return nil
}

// bucketTrees are what a bucket consists of. A key is in one of fresh and records, or in neither.
type bucketTrees struct{ fresh, records, index *bbolt.Bucket }

func (b bucketName) open(tx *bbolt.Tx) bucketTrees {
	top := tx.Bucket([]byte(b))
	return bucketTrees{top.Bucket(freshTree), top.Bucket(recordsTree), top.Bucket(expiryTree)}
}

// find returns what is stored under a key, nil for nothing, and the tree that has it.
func (t bucketTrees) find(key []byte) (stored []byte, tree *bbolt.Bucket) {
	if stored = t.fresh.Get(key); stored != nil {
		return stored, t.fresh
	}
	return t.records.Get(key), t.records
}

// get returns a value that is valid until the transaction ends.
func (b bucketName) get(tx *bbolt.Tx, key string, now time.Time) ([]byte, bool) {
	stored, _ := b.open(tx).find([]byte(key))
	if stored == nil {
		return nil, false
	}
	value, expiry, _ := decode(stored)
	if expiry != 0 && expiry <= now.UnixMilli() {
		return nil, false
	}
	return value, true
}

func (b bucketName) put(tx *bbolt.Tx, r record) error {
	trees := b.open(tx)
	index := trees.index
	_, expiry, _ := decode(r.stored)
	before, tree := trees.find(r.key)
	_, _, indexed := decode(before)
	if indexed != 0 && (expiry == 0 || expiry < indexed) { // it would be looked at too late
		if err := index.Delete(indexKey(indexed, r.key)); err != nil {
			return err
		}
		indexed = 0
	}
	if indexed == 0 && expiry != 0 {
		indexed = expiry
		if err := index.Put(indexKey(indexed, r.key), nil); err != nil {
			return err
		}
	}
	r.setIndexed(indexed)
	if before == nil {
		return trees.fresh.Put(r.key, r.stored)
	}
	if tree == trees.fresh {
		if err := trees.fresh.Delete(r.key); err != nil {
			return err
		}
	}
	return trees.records.Put(r.key, r.stored)
}

func (b bucketName) delete(tx *bbolt.Tx, key string) error {
	trees := b.open(tx)
	stored, tree := trees.find([]byte(key))
	if _, _, indexed := decode(stored); indexed != 0 {
		if err := trees.index.Delete(indexKey(indexed, []byte(key))); err != nil {
			return err
		}
	}
	return tree.Delete([]byte(key))
}

// renewedWithin is how long after its time in the index a record is looked at: most of those that were written
// again soon after have then expired, too, and need no new place.
const renewedWithin = 5 * time.Second

// due returns up to limit index keys whose time has come, oldest first.
func (b bucketName) due(tx *bbolt.Tx, now time.Time, limit int) [][]byte {
	end := indexKey(now.Add(-renewedWithin).UnixMilli()+1, nil)
	var keys [][]byte
	cursor := b.open(tx).index.Cursor()
	for key, _ := cursor.First(); key != nil && len(keys) < limit && bytes.Compare(key, end) < 0; key, _ = cursor.Next() {
		keys = append(keys, bytes.Clone(key)) // what a cursor returns does not outlive a delete
	}
	return keys
}

// sweep deals with up to limit index entries whose time has come, and returns how many there were: it removes records
// that have expired and gives the others a new place.
func (b bucketName) sweep(tx *bbolt.Tx, now time.Time, limit int) (int, error) {
	trees := b.open(tx)
	due := b.due(tx, now, limit)
	for _, entry := range due {
		if err := trees.index.Delete(entry); err != nil {
			return 0, err
		}
		key := entry[min(expiryLen, len(entry)):]
		stored, tree := trees.find(key)
		_, expiry, indexed := decode(stored)
		if indexed == 0 || !bytes.Equal(entry, indexKey(indexed, key)) {
			continue // the index entry was left behind by a damaged record that has been replaced since
		}
		if expiry <= now.UnixMilli() {
			if err := tree.Delete(key); err != nil {
				return 0, err
			}
			continue
		}
		moved := record{key: key, stored: bytes.Clone(stored)}
		moved.setIndexed(expiry)
		if err := errors.Join(trees.index.Put(indexKey(expiry, key), nil), tree.Put(key, moved.stored)); err != nil {
			return 0, err
		}
	}
	return len(due), nil
}
