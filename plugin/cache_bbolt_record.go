package plugin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// A record is a format byte, the expiry in Unix milliseconds (0 = never) and the value.
const (
	boltRecordFormat = 1
	boltExpiryLen    = 8
	boltHeaderLen    = 1 + boltExpiryLen
)

// Keys are limited so that an index key, which has the expiry in front, still fits.
const boltMaxKeyLen = bbolt.MaxKeySize - boltExpiryLen

var (
	boltRecords = []byte("records")
	boltExpiry  = []byte("expiry") // expiry and key → nothing; ordered by time, so a sweep reads only what is due
)

type boltRecord struct {
	key    []byte
	stored []byte
}

// newBoltRecord refuses whatever bbolt would refuse: a record must not fail inside a transaction it shares with others.
func newBoltRecord(key string, value []byte, lifetime time.Duration, now time.Time) (boltRecord, error) {
	switch {
	case key == "":
		return boltRecord{}, errors.New("storing an item: its key is empty")
	case len(key) > boltMaxKeyLen:
		return boltRecord{}, fmt.Errorf("storing an item: its key has %d bytes, at most %d are possible", len(key), boltMaxKeyLen)
	case len(value) > bbolt.MaxValueSize-boltHeaderLen:
		return boltRecord{}, fmt.Errorf("storing an item: its value has %d bytes, at most %d are possible", len(value), bbolt.MaxValueSize-boltHeaderLen)
	}
	var expiry int64
	if lifetime > 0 {
		expiry = now.Add(lifetime).Add(time.Millisecond - 1).UnixMilli() // rounded up: never early
	}
	stored := make([]byte, boltHeaderLen, boltHeaderLen+len(value))
	stored[0] = boltRecordFormat
	binary.BigEndian.PutUint64(stored[1:], uint64(expiry))
	return boltRecord{key: []byte(key), stored: append(stored, value...)}, nil
}

// decodeBoltRecord takes a record it does not recognise as a value without expiry. A damaged record stays present that
// way: whoever reads it must judge it, and an Add must not pass over it.
func decodeBoltRecord(stored []byte) (value []byte, expiry int64) {
	if len(stored) < boltHeaderLen || stored[0] != boltRecordFormat {
		return stored, 0
	}
	expiry = int64(binary.BigEndian.Uint64(stored[1:]))
	if expiry < 0 {
		return stored, 0
	}
	return stored[boltHeaderLen:], expiry
}

func boltIndexKey(expiry int64, key []byte) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, boltExpiryLen+len(key)), uint64(expiry)), key...)
}

// boltBucket names a top-level bucket that holds the records and their expiry index.
type boltBucket string

func (b boltBucket) create(tx *bbolt.Tx) error {
	top, err := tx.CreateBucketIfNotExists([]byte(b))
	if err != nil {
		return err
	}
	if _, err := top.CreateBucketIfNotExists(boltRecords); err != nil {
		return err
	}
	_, err = top.CreateBucketIfNotExists(boltExpiry)
	return err
}

func (b boltBucket) open(tx *bbolt.Tx) (records, index *bbolt.Bucket) {
	top := tx.Bucket([]byte(b))
	return top.Bucket(boltRecords), top.Bucket(boltExpiry)
}

// get returns a value that is valid until the transaction ends.
func (b boltBucket) get(tx *bbolt.Tx, key string, now time.Time) ([]byte, bool) {
	records, _ := b.open(tx)
	stored := records.Get([]byte(key))
	if stored == nil {
		return nil, false
	}
	value, expiry := decodeBoltRecord(stored)
	if expiry != 0 && expiry <= now.UnixMilli() {
		return nil, false
	}
	return value, true
}

func (b boltBucket) put(tx *bbolt.Tx, record boltRecord) error {
	if err := b.unindex(tx, record.key); err != nil {
		return err
	}
	records, index := b.open(tx)
	if err := records.Put(record.key, record.stored); err != nil {
		return err
	}
	if _, expiry := decodeBoltRecord(record.stored); expiry != 0 {
		return index.Put(boltIndexKey(expiry, record.key), nil)
	}
	return nil
}

func (b boltBucket) delete(tx *bbolt.Tx, key string) error {
	if err := b.unindex(tx, []byte(key)); err != nil {
		return err
	}
	records, _ := b.open(tx)
	return records.Delete([]byte(key))
}

func (b boltBucket) unindex(tx *bbolt.Tx, key []byte) error {
	records, index := b.open(tx)
	if _, expiry := decodeBoltRecord(records.Get(key)); expiry != 0 {
		return index.Delete(boltIndexKey(expiry, key))
	}
	return nil
}

// due returns the index keys of up to limit expired records, oldest first.
func (b boltBucket) due(tx *bbolt.Tx, now time.Time, limit int) [][]byte {
	_, index := b.open(tx)
	end := boltIndexKey(now.UnixMilli()+1, nil)
	var keys [][]byte
	cursor := index.Cursor()
	for key, _ := cursor.First(); key != nil && len(keys) < limit && bytes.Compare(key, end) < 0; key, _ = cursor.Next() {
		keys = append(keys, bytes.Clone(key)) // what a cursor returns does not outlive a delete
	}
	return keys
}

// sweep removes up to limit expired records and returns how many index entries it has dealt with.
func (b boltBucket) sweep(tx *bbolt.Tx, now time.Time, limit int) (int, error) {
	records, index := b.open(tx)
	due := b.due(tx, now, limit)
	for _, indexKey := range due {
		if err := index.Delete(indexKey); err != nil {
			return 0, err
		}
		key := indexKey[min(boltExpiryLen, len(indexKey)):]
		if _, expiry := decodeBoltRecord(records.Get(key)); expiry == 0 || expiry > now.UnixMilli() {
			continue // the index entry was left behind by a damaged record that has been replaced since
		}
		if err := records.Delete(key); err != nil {
			return 0, err
		}
	}
	return len(due), nil
}
