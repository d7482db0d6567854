package callfeed

import (
	"context"
	"time"
)

// takeWithGaps hands out what a page asks for that does not show all of its places, and
// moves on behind them. It answers whether the pass is done, and then whether more is known
// to follow.
//
// Nobody says in which places the gaps are. So the next page begins where this one ends,
// rather than with a call of it: only the way to the first page with gaps shows calls that
// were skipped. Calls of one date are not counted either.
func (p *pass) takeWithGaps(ctx context.Context, page Page) (done, more bool, err error) {
	if p.skipped(page.Items) {
		return false, false, nil
	}
	f := p.feed
	p.crowd = nil
	p.ties, p.before = 0, 0
	if len(page.Items) > 0 {
		if err := p.take(ctx, page.Items); err != nil {
			return true, false, err
		}
		p.ends = endsOf(page.Items)
	}
	switch {
	case p.broken:
		return true, false, nil
	case !page.More:
		p.end(ctx)
		return true, false, nil
	case f.book.full(time.Now()), p.deep(page.Items) && p.cuttable(ctx):
		return true, true, ctx.Err()
	}
	p.overlaps, p.anchored = false, false
	p.query.Skip += page.Room
	return false, false, ctx.Err()
}
