package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The layout of a bbolt file, as far as it is read here past bbolt. Numbers have the byte order of the machine.
const (
	pageHeaderLen   = 16
	metaLen         = 64
	metaMagic       = 0xED0CDAED
	metaVersion     = 2
	smallestPage    = 512
	largestPage     = 1 << 24
	noFreelist      = ^uint64(0)
	branchPage      = 0x01
	leafPage        = 0x02
	freelistPage    = 0x10
	elementLen      = 16
	bucketFlag      = 0x01
	bucketHeaderLen = 16
)

// meta is one of the two heads of a file. The one of the later transaction counts.
type meta struct {
	pageSize, root, freelist, pages, txid uint64
}

// metaAt reads a head that begins at an offset, and reports false for one that is damaged.
func metaAt(b []byte) (meta, bool) {
	if len(b) < pageHeaderLen+metaLen {
		return meta{}, false
	}
	b = b[pageHeaderLen : pageHeaderLen+metaLen]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaLen-8])
	order := binary.NativeEndian
	m := meta{
		pageSize: uint64(order.Uint32(b[8:])), root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]),
		pages: order.Uint64(b[40:]), txid: order.Uint64(b[48:]),
	}
	valid := order.Uint32(b) == metaMagic && order.Uint32(b[4:]) == metaVersion && order.Uint64(b[metaLen-8:]) == sum.Sum64() &&
		m.pageSize >= smallestPage && m.pageSize <= largestPage
	return m, valid
}

// readMetas reads both heads of a file, in any order of theirs.
func readMetas(file io.ReaderAt, pageSize uint64) (newer, older meta, err error) {
	const headLen = pageHeaderLen + metaLen
	buf := make([]byte, 2*headLen)
	if _, err := file.ReadAt(buf[:headLen], 0); err != nil {
		return meta{}, meta{}, fmt.Errorf("its head cannot be read: %w", err)
	}
	if _, err := file.ReadAt(buf[headLen:], int64(pageSize)); err != nil {
		return meta{}, meta{}, fmt.Errorf("its second head cannot be read: %w", err)
	}
	first, firstValid := metaAt(buf)
	second, secondValid := metaAt(buf[headLen:])
	switch {
	case !firstValid && !secondValid:
		return meta{}, meta{}, errors.New("both of its heads are damaged")
	case !firstValid:
		return second, meta{}, nil
	case !secondValid:
		return first, meta{}, nil
	case second.txid > first.txid:
		return second, first, nil
	}
	return first, second, nil
}
