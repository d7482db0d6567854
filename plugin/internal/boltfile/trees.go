package boltfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// A record is fresh until it is written again. The fresh ones have a tree of their own: a ledger writes each record
// twice within moments, at a random place of a large tree, and for each such write a page of the file is written. In the
// small tree of what was just claimed, many claims share a page.
var (
	freshTree   = []byte("fresh")
	recordsTree = []byte("records")
	expiryTree  = []byte("expiry") // expiry and key → nothing; ordered by time, so a sweep reads only what is due
)

// idKey is beside the trees of a bucket and has its id. Versions that know of none pass over it.
var idKey = []byte("id")

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

// identify returns the bucket's id. A bucket without one, which is new or was made by an earlier version, gets it.
func (b bucketName) identify(tx *bbolt.Tx) (string, error) {
	top := tx.Bucket([]byte(b))
	if id := top.Get(idKey); id != nil {
		return string(id), nil
	}
	id := rand.Text()
	return id, top.Put(idKey, []byte(id))
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
