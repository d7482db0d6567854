package boltfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// checkPages reads every page that a file uses, and says which one is damaged. bbolt trusts what it finds: it reads
// through a memory map, partly in goroutines of its own, where a damaged page ends the process. The file must not
// be written to meanwhile. Errors name pages, never keys.
func checkPages(file io.ReaderAt, size int64, pageSize uint64) error {
	m, older, err := readMetas(file, pageSize)
	if err != nil {
		return err
	}
	if older.pageSize == 0 { // the file of a process that was killed has both; what bbolt falls back to lacks the last write
		return errors.New("one of its two heads is damaged")
	}
	if m.pageSize != pageSize || m.pages < 2 || m.pages > uint64(size)/pageSize {
		return fmt.Errorf("it was cut short: %d of %d bytes are there", size, m.pages*m.pageSize)
	}
	c := pageCheck{file: file, meta: m, used: make([]bool, m.pages)}
	c.used[0], c.used[1] = true, true
	if err := c.tree(m.root, nil, nil); err != nil {
		return err
	}
	if m.freelist == noFreelist {
		return nil
	}
	return c.freelist(m.freelist)
}

type pageCheck struct {
	file io.ReaderAt
	meta meta
	used []bool
}

// page reads a page with those that it flows over to, each of which is used once.
func (c *pageCheck) page(id uint64) ([]byte, error) {
	if id < 2 || id >= c.meta.pages {
		return nil, fmt.Errorf("page %d does not exist", id)
	}
	page := make([]byte, c.meta.pageSize)
	at := int64(id * c.meta.pageSize)
	if _, err := c.file.ReadAt(page, at); err != nil {
		return nil, fmt.Errorf("page %d cannot be read: %w", id, err)
	}
	over := uint64(binary.NativeEndian.Uint32(page[12:]))
	if found := binary.NativeEndian.Uint64(page); found != id || over >= c.meta.pages-id {
		return nil, fmt.Errorf("page %d is damaged: it is not the page it should be", id)
	}
	for n := id; n <= id+over; n++ {
		if c.used[n] {
			return nil, fmt.Errorf("page %d is damaged: two others refer to it", n)
		}
		c.used[n] = true
	}
	if over > 0 {
		rest := make([]byte, over*c.meta.pageSize)
		if _, err := c.file.ReadAt(rest, at+int64(c.meta.pageSize)); err != nil {
			return nil, fmt.Errorf("page %d cannot be read: %w", id+1, err)
		}
		page = append(page, rest...)
	}
	return page, nil
}

// tree checks a page and all below it. Its keys are from low on and below high; nil does not bound.
func (c *pageCheck) tree(id uint64, low, high []byte) error {
	page, err := c.page(id)
	if err == nil {
		err = c.elements(page, id, low, high)
	}
	return err
}

func (c *pageCheck) elements(page []byte, id uint64, low, high []byte) error {
	damaged := func(why string) error { return fmt.Errorf("page %d is damaged: %s", id, why) }
	order := binary.NativeEndian
	flags, count := order.Uint16(page[8:]), int(order.Uint16(page[10:]))
	if flags != branchPage && flags != leafPage {
		return damaged("it is neither branch nor leaf")
	}
	if pageHeaderLen+count*elementLen > len(page) || flags == branchPage && count == 0 {
		return damaged("its number of elements is wrong")
	}
	type child struct {
		key  []byte
		page uint64
	}
	var children []child
	before := low
	for i := range count {
		element := page[pageHeaderLen+i*elementLen:]
		var key, value []byte
		var inside, isBucket bool
		if flags == branchPage {
			key, _, inside = cut(element, uint64(order.Uint32(element)), uint64(order.Uint32(element[4:])), 0)
			children = append(children, child{key, order.Uint64(element[8:])})
		} else {
			key, value, inside = cut(element, uint64(order.Uint32(element[4:])), uint64(order.Uint32(element[8:])), uint64(order.Uint32(element[12:])))
			isBucket = order.Uint32(element)&bucketFlag != 0
		}
		switch order := bytes.Compare(before, key); {
		case !inside || len(key) == 0 && flags == leafPage:
			return damaged("an element is outside of it")
		case before != nil && (order > 0 || order == 0 && i > 0), high != nil && bytes.Compare(key, high) >= 0:
			return damaged("its keys are out of order")
		}
		before = key
		if isBucket {
			if err := c.bucket(value, id); err != nil {
				return err
			}
		}
	}
	for i, below := range children {
		end := high
		if i+1 < len(children) {
			end = children[i+1].key
		}
		if err := c.tree(below.page, below.key, end); err != nil {
			return err
		}
	}
	return nil
}

// cut cuts what follows an element: a key that begins at an offset, and a value behind it.
func cut(element []byte, at, keyLen, valueLen uint64) (key, value []byte, inside bool) {
	if at < elementLen || at+keyLen+valueLen > uint64(len(element)) {
		return nil, nil, false
	}
	return element[at : at+keyLen], element[at+keyLen : at+keyLen+valueLen], true
}

// bucket checks a bucket whose header is a value. A small one follows it there as a page.
func (c *pageCheck) bucket(value []byte, id uint64) error {
	switch {
	case len(value) < bucketHeaderLen:
		return fmt.Errorf("page %d is damaged: a bucket of it has no header", id)
	case binary.NativeEndian.Uint64(value) != 0:
		return c.tree(binary.NativeEndian.Uint64(value), nil, nil)
	case len(value) < bucketHeaderLen+pageHeaderLen, binary.NativeEndian.Uint16(value[bucketHeaderLen+8:]) != leafPage:
		return fmt.Errorf("page %d is damaged: a small bucket in it is no leaf", id)
	}
	return c.elements(value[bucketHeaderLen:], id, nil, nil)
}

func (c *pageCheck) freelist(id uint64) error {
	page, err := c.page(id)
	if err != nil {
		return err
	}
	order := binary.NativeEndian
	ids, count := page[pageHeaderLen:], uint64(order.Uint16(page[10:]))
	if count == 0xFFFF && len(ids) >= 8 { // the number does not fit its place
		ids, count = ids[8:], order.Uint64(ids)
	}
	if order.Uint16(page[8:]) != freelistPage || count > uint64(len(ids))/8 {
		return fmt.Errorf("page %d is damaged: it is no list of free pages", id)
	}
	for i := range count {
		free := order.Uint64(ids[i*8:])
		if free < 2 || free >= c.meta.pages || c.used[free] {
			return fmt.Errorf("page %d is damaged: it lists page %d as free", id, free)
		}
		c.used[free] = true
	}
	return nil
}
