package happyrobot

// PageSize is how many items of a list are asked for at a time. Replies are bounded in
// bytes, and items are not alike: one page of many may be too large. Not for concurrent use.
type PageSize struct {
	most, now int  // calls; 0 is what the API gives
	good      int  // pages that fitted since it changed
	patience  int  // pages that must fit before it grows
	grown     bool // and no page was read since
}

const (
	defaultPage   = 2000 // what the API documents for a list without a limit
	firstPatience = 4
	mostPatience  = 64
)

// NewPageSize begins with a limit; 0 is what the API gives without one.
func NewPageSize(limit int) PageSize {
	return PageSize{most: limit, now: limit, patience: firstPatience}
}

// Shrink halves the page, down to one item, after a reply of ClassTooLarge. Where growing was too soon, the next time
// takes longer.
func (p *PageSize) Shrink() int {
	if p.now == 0 {
		p.now = defaultPage
	}
	if p.grown {
		p.patience = min(2*p.patience, mostPatience)
	}
	p.now, p.good, p.grown = max(1, p.now/2), 0, false
	return p.now
}

// Fits notes a page that could be read, and doubles it after some of those.
func (p *PageSize) Fits() int {
	if p.now == p.most {
		return p.now
	}
	if p.grown {
		p.patience, p.grown = max(p.patience/2, firstPatience), false
	}
	if p.good++; p.good < p.patience {
		return p.now
	}
	p.now, p.good, p.grown = 2*p.now, 0, true
	switch {
	case p.most > 0:
		p.now = min(p.now, p.most)
	case p.now >= defaultPage:
		p.now = p.most
	}
	return p.now
}
