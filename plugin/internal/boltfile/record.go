package boltfile

import (
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

type record struct {
	key     []byte
	stored  []byte
	written moment
	// undated is what is noted of an expiry that the clock was not trusted for, nil if it was.
	undated []byte
}

func (r record) setExpiry(at int64) { binary.BigEndian.PutUint64(r.stored[1:], uint64(at)) }

func (r record) setIndexed(at int64) {
	binary.BigEndian.PutUint64(r.stored[1+expiryLen:], uint64(at))
}

// newRecord refuses whatever bbolt would refuse: a record must not fail inside a transaction it shares with others.
func newRecord(key string, value []byte, lifetime time.Duration, now moment) (record, error) {
	switch {
	case key == "":
		return record{}, errors.New("storing an item: its key is empty")
	case len(key) > maxKeyLen:
		return record{}, fmt.Errorf("storing an item: its key has %d bytes, at most %d are possible", len(key), maxKeyLen)
	case len(value) > bbolt.MaxValueSize-headerLen:
		return record{}, fmt.Errorf("storing an item: its value has %d bytes, at most %d are possible", len(value), bbolt.MaxValueSize-headerLen)
	}
	r := record{key: []byte(key), written: now}
	var expiry int64
	if lifetime > 0 {
		expiry = now.at.Add(lifetime).Add(time.Millisecond - 1).UnixMilli() // rounded up: never early
		if !now.trusted() {
			r.undated = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, now.period), uint64(lifetime))
		}
	}
	stored := make([]byte, headerLen, headerLen+len(value))
	stored[0] = recordFormat
	binary.BigEndian.PutUint64(stored[1:], uint64(expiry))
	stored = append(stored, value...)
	r.stored = stored
	return r, nil
}

const undatedLen = 2 * 8

// readUndated reports false for what is no note of an expiry.
func readUndated(b []byte) (period uint64, lifetime time.Duration, ok bool) {
	if len(b) != undatedLen {
		return 0, 0, false
	}
	period, lifetime = binary.BigEndian.Uint64(b), time.Duration(binary.BigEndian.Uint64(b[8:]))
	return period, lifetime, lifetime > 0
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
