package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"

	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Pagination is what a list says of its pages, in either of the two spellings that the API
// has: camelCase for runs, snake_case elsewhere.
type Pagination struct {
	Page    int // from 1; 0 when the API does not say, as for the next two
	Size    int
	Pages   int
	Records int // -1 when the API does not say
	// More says that there is a next page. It counts only where MoreKnown is set: else
	// an empty page is the end.
	More, MoreKnown bool
}

// Page is one page of a list. Every item has its place: one that is no object has nothing
// but Raw.
type Page[T any] struct {
	Items []T
	Pagination

	first json.RawMessage // the first item as it came
	all   string          // the items as they came
}

// readPage reads a list: an object with data and pagination, or a bare list.
func readPage[T any](body []byte, read func([]byte) (T, error)) (page Page[T], err error) {
	page.Records = -1
	if err := valid(body); err != nil {
		return page, err
	}
	list := gjson.ParseBytes(body)
	if list.IsObject() {
		page.read(list.Get("pagination"))
		list = list.Get("data")
	}
	if !list.IsArray() {
		return page, errNoList
	}
	page.all = list.Raw
	list.ForEach(func(_, item gjson.Result) bool {
		if page.first == nil {
			page.first = json.RawMessage(item.Raw)
		}
		var one T
		if one, err = read([]byte(item.Raw)); err != nil {
			return false
		}
		page.Items = append(page.Items, one)
		return true
	})
	return page, err
}

func (p *Pagination) read(v gjson.Result) {
	v.ForEach(func(name, v gjson.Result) bool {
		switch happyrobot.Fold(name.Str) {
		case "page":
			p.Page, _ = whole(v)
		case "pagesize":
			p.Size, _ = whole(v)
		case "totalpages":
			p.Pages, _ = whole(v)
		case "totalrecords":
			if n, ok := whole(v); ok {
				p.Records = n
			}
		case "hasnextpage":
			p.More, p.MoreKnown = truth(v), v.Type != gjson.Null
		}
		return true
	})
	if !p.MoreKnown && p.Page > 0 && p.Pages > 0 {
		p.More, p.MoreKnown = p.Page < p.Pages, true
	}
}

// ErrSamePage is the cause of the error of a list whose next page is the page before: the
// API ignores the page that is asked for, so that it would be listed for ever.
var ErrSamePage = fmt.Errorf("%w: the API gives the same page twice; it ignores page", happyrobot.ErrOtherForm)

// mostSizes is how often a list may change the size of its pages of its own accord.
const mostSizes = 4

// walk reads a list page by page as its items are taken. It ends at the first error, which
// comes with a zero item. A page whose reply is too large is asked for in smaller ones; an
// item that is too large alone is a zero one: it is there, and could be any.
//
// Pages are numbered in units of their size. So where the size changes, the page is asked
// for in which the next item lies, and the items before it are passed over.
//
// unpaged says that the list may have no pages at all, and ignore that one is asked for: then
// a page without pagination ends it that is byte for byte the one before, and that one was
// shorter than it was asked for. Of other lists that is no end, but an error: what is
// missing in them must not be taken for what is not there.
func walk[T any](op string, size int, unpaged bool, ask func(page, size int) (Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		fail := func(err error) {
			yield(none, &happyrobot.Error{Op: op, Status: http.StatusOK, Err: fmt.Errorf("decoding the reply: %w", err)})
		}
		sizes, changes := happyrobot.NewPageSize(size), 0
		next := 0 // items that were given
		var before json.RawMessage
		beforeAt := 0
		short := "" // a page without pagination that had fewer items than it was asked for
		for {
			number := next/size + 1
			page, err := ask(number, size)
			if happyrobot.ClassOf(err) == happyrobot.ClassTooLarge {
				if size > 1 {
					size = sizes.Shrink()
					continue
				}
				next++
				if !yield(none, nil) {
					return
				}
				continue
			}
			if err != nil {
				yield(none, err)
				return
			}
			if page.Size > 0 && page.Size != size { // the API has its own mind
				if changes++; changes > mostSizes {
					fail(fmt.Errorf("%w: the size of its pages changes all the time", happyrobot.ErrOtherForm))
					return
				}
				size, sizes = page.Size, happyrobot.NewPageSize(page.Size)
			}
			at, found := (number-1)*size, len(page.Items)
			if at > next || at+max(found, size) <= next {
				continue // it lies in another page of this size
			}
			if found > 0 {
				if at != beforeAt && page.all == short {
					return // there are no more of them, and no pages
				}
				if at != beforeAt && bytes.Equal(page.first, before) {
					fail(ErrSamePage)
					return
				}
				before, beforeAt = page.first, at
			}
			for _, item := range page.Items[min(next-at, found):] {
				if !yield(item, nil) {
					return
				}
			}
			short = ""
			if unpaged && page.Pagination == (Pagination{Records: -1}) && found < size {
				short = page.all
			}
			if page.Size == 0 && found > 0 && found < size { // capped without a word, or the last
				size, sizes = found, happyrobot.NewPageSize(found)
			}
			next = at + max(found, size)
			if page.last(number, found, next) {
				return
			}
			size = sizes.Fits()
		}
	}
}

// last says whether no page follows. The API is believed that there is none only where
// what it counts does not contradict.
func (p Page[T]) last(number, found, next int) bool {
	switch {
	case found == 0:
		return !p.MoreKnown || !p.More || p.Pages <= number
	case p.MoreKnown:
		return !p.More && next >= p.Records
	default:
		return false
	}
}

// pageOf asks for one page of a list.
func pageOf[T any](ctx context.Context, c *Client, r happyrobot.Request, read func([]byte) (T, error)) (page Page[T], err error) {
	r.Read = func(body []byte) (err error) {
		page, err = readPage(body, read)
		return err
	}
	if err := c.requester.Perform(ctx, r); err != nil {
		return Page[T]{}, err
	}
	return page, nil
}

// Sort is the order of a list.
type Sort string

// Orders, by creation as far as is known.
const (
	Ascending  Sort = "asc"
	Descending Sort = "desc"
)
