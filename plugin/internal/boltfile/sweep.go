package boltfile

import (
	"bytes"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// renewedWithin is how long after its time in the index a record is looked at: most of those that were written
// again soon after have then expired, too, and need no new place.
const renewedWithin = 5 * time.Second

// hasDue reports whether there is something to sweep.
func (b bucketName) hasDue(tx *bbolt.Tx, now moment) bool {
	trees := b.open(tx)
	uncertain, _ := trees.undated.Cursor().First()
	return now.trusted() && (uncertain != nil || len(trees.due(now, 1)) > 0)
}

// due returns up to limit index keys whose time has come, oldest first.
func (t bucketTrees) due(now moment, limit int) [][]byte {
	end := indexKey(now.at.Add(-renewedWithin).UnixMilli()+1, nil)
	var keys [][]byte
	cursor := t.index.Cursor()
	for key, _ := cursor.First(); key != nil && len(keys) < limit && bytes.Compare(key, end) < 0; key, _ = cursor.Next() {
		keys = append(keys, bytes.Clone(key)) // what a cursor returns does not outlive a delete
	}
	return keys
}

// sweep deals with up to limit index entries whose time has come, and returns how many there were: it removes records
// that have expired and gives the others a new place. The clock is trusted; what has no certain expiry gets one first.
func (b bucketName) sweep(tx *bbolt.Tx, now moment, limit int) (int, error) {
	trees := b.open(tx)
	settled, err := trees.settle(now, limit)
	if err != nil || settled == limit {
		return settled, err
	}
	due := trees.due(now, limit-settled)
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
		if trees.expired(key, expiry, now) {
			if err := tree.Delete(key); err != nil {
				return 0, err
			}
			continue
		}
		moved := record{key: key, stored: bytes.Clone(stored)}
		place := trees.extended(expiry)
		moved.setIndexed(place)
		if err := errors.Join(trees.index.Put(indexKey(place, key), nil), tree.Put(key, moved.stored)); err != nil {
			return 0, err
		}
	}
	return settled + len(due), nil
}

// settle deals with up to limit records whose expiry is not certain, and returns how many there were. What was written
// in this period keeps its expiry; of the others only the TTL is known.
func (t bucketTrees) settle(now moment, limit int) (int, error) {
	type uncertain struct{ key, note []byte }
	var all []uncertain
	cursor := t.undated.Cursor()
	for key, note := cursor.First(); key != nil && len(all) < limit; key, note = cursor.Next() {
		all = append(all, uncertain{bytes.Clone(key), bytes.Clone(note)})
	}
	for _, u := range all {
		if err := t.undated.Delete(u.key); err != nil {
			return 0, err
		}
		period, lifetime, ok := readUndated(u.note)
		stored, tree := t.find(u.key)
		_, expiry, indexed := decode(stored)
		if !ok || expiry == 0 || period == now.period {
			continue
		}
		r := record{key: u.key, stored: bytes.Clone(stored)}
		expiry = now.at.Add(lifetime).UnixMilli() + 1
		r.setExpiry(expiry)
		r.setIndexed(expiry)
		if err := errors.Join(t.index.Delete(indexKey(indexed, u.key)), t.index.Put(indexKey(expiry, u.key), nil), tree.Put(u.key, r.stored)); err != nil {
			return 0, err
		}
	}
	return len(all), nil
}
