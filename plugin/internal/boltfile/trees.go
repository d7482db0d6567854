package boltfile

import (
	"crypto/rand"
	"errors"

	"go.etcd.io/bbolt"
)

// A record is fresh until it is written again. The fresh ones have a tree of their own: a ledger writes each record
// twice within moments, at a random place of a large tree, and for each such write a page of the file is written. In the
// small tree of what was just claimed, many claims share a page.
var (
	freshTree   = []byte("fresh")
	recordsTree = []byte("records")
	expiryTree  = []byte("expiry") // expiry and key → nothing; ordered by time, so a sweep reads only what is due
	// undatedTree has the keys whose expiry is by a clock that was not trusted → its period, and the TTL.
	undatedTree = []byte("undated")
)

// Beside the trees of a bucket are its id, and the stamp of what was written last. Older versions
// ignore these keys and undatedTree.
var (
	idKey    = []byte("id")
	stampKey = []byte("stamp")
)

// bucketName names a top-level bucket that holds the records and their expiry index.
type bucketName string

var allTrees = [][]byte{freshTree, recordsTree, expiryTree, undatedTree}

// create makes what is missing of a bucket, which is all of it or what an earlier version did not have, and returns
// its id.
func (b bucketName) create(tx *bbolt.Tx) (id string, err error) {
	top, err := tx.CreateBucketIfNotExists([]byte(b))
	if err != nil {
		return "", err
	}
	for _, tree := range allTrees {
		if _, err := top.CreateBucketIfNotExists(tree); err != nil {
			return "", err
		}
	}
	if id := top.Get(idKey); id != nil {
		return string(id), nil
	}
	id = rand.Text()
	return id, top.Put(idKey, []byte(id))
}

// whole returns the id of a bucket of which nothing is missing, "" for another.
func (b bucketName) whole(tx *bbolt.Tx) (id string) {
	top := tx.Bucket([]byte(b))
	if top == nil {
		return ""
	}
	for _, tree := range allTrees {
		if top.Bucket(tree) == nil {
			return ""
		}
	}
	return string(top.Get(idKey))
}

// bucketTrees are what a bucket consists of. A key is in one of fresh and records, or in neither.
type bucketTrees struct{ top, fresh, records, index, undated *bbolt.Bucket }

func (b bucketName) open(tx *bbolt.Tx) bucketTrees { return treesOf(tx.Bucket([]byte(b))) }

func treesOf(top *bbolt.Bucket) bucketTrees {
	return bucketTrees{top, top.Bucket(freshTree), top.Bucket(recordsTree), top.Bucket(expiryTree), top.Bucket(undatedTree)}
}

// expired reports whether a record is past its TTL for certain. In doubt it is not.
func (t bucketTrees) expired(key []byte, expiry int64, now moment) bool {
	if expiry == 0 || expiry > now.at.UnixMilli() {
		return false
	}
	var note []byte
	if t.undated != nil { // a bucket that an earlier version made, and nobody has opened since
		note = t.undated.Get(key)
	}
	if note == nil {
		return now.trusted() && t.extended(expiry) <= now.at.UnixMilli()
	}
	period, _, ok := readUndated(note)
	return ok && period == now.period
}

// find returns what is stored under a key, nil for nothing, and the tree that has it.
func (t bucketTrees) find(key []byte) (stored []byte, tree *bbolt.Bucket) {
	if stored = t.fresh.Get(key); stored != nil {
		return stored, t.fresh
	}
	return t.records.Get(key), t.records
}

// get returns a value that is valid until the transaction ends.
func (b bucketName) get(tx *bbolt.Tx, key string, now moment) ([]byte, bool) {
	trees := b.open(tx)
	stored, _ := trees.find([]byte(key))
	if stored == nil {
		return nil, false
	}
	value, expiry, _ := decode(stored)
	if trees.expired([]byte(key), expiry, now) {
		return nil, false
	}
	return value, true
}

// note keeps what is known of an expiry that is not certain, nothing if it is.
func (t bucketTrees) note(key, undated []byte) error {
	if undated != nil {
		return t.undated.Put(key, undated)
	}
	return t.undated.Delete(key)
}

func (b bucketName) put(tx *bbolt.Tx, r record) error {
	trees := b.open(tx)
	index := trees.index
	if err := errors.Join(trees.top.Put(stampKey, r.written.stamp()), trees.note(r.key, r.undated)); err != nil {
		return err
	}
	_, expiry, _ := decode(r.stored)
	if expiry != 0 {
		if err := trees.noteTTL(expiry - r.written.at.UnixMilli()); err != nil {
			return err
		}
	}
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
	return errors.Join(tree.Delete([]byte(key)), trees.undated.Delete([]byte(key)))
}
