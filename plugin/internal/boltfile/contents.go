package boltfile

import (
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// contents is what a bucket had when it was opened: that a file was emptied, or is an old copy, is seen in it.
type contents struct {
	exists  bool
	records int
	newest  moment
}

func (b bucketName) contents(tx *bbolt.Tx) (c contents) {
	top := tx.Bucket([]byte(b))
	if top == nil || top.Bucket(recordsTree) == nil {
		return c
	}
	c.exists = true
	for _, name := range [][]byte{freshTree, recordsTree} {
		if tree := top.Bucket(name); tree != nil {
			c.records += tree.Stats().KeyN
		}
	}
	c.newest = readStamp(top.Get(stampKey))
	return c
}

// describe completes the sentence "… has".
func (c contents) describe(now moment) string {
	switch {
	case !c.exists:
		return "no records: it is new"
	case c.records == 0 && c.newest.at.IsZero():
		return "no records"
	case c.newest.at.IsZero():
		return fmt.Sprintf("%d records; when the newest was written is not known, as an earlier version wrote it", c.records)
	}
	age := now.at.Sub(c.newest.at).Round(time.Second)
	when := fmt.Sprintf("%v ago", age)
	if age < 0 {
		when = fmt.Sprintf("%v in the future", -age)
	}
	told := fmt.Sprintf("%d records; the newest was written %s, at %s", c.records, when, c.newest.at.UTC().Format(time.RFC3339))
	if !now.trusted() {
		told += "; nothing written before expires until the system clock has been steady for " + (steadyFor - now.ran).Round(time.Minute).String()
	}
	return told
}
