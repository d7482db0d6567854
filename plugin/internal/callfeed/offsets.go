package callfeed

// numbered is the page of a list in numbered pages that shows an offset: its number, from
// 1, its size, and how many of its items come before the offset. A page is at most limit
// long, and of those the one that shows most from the offset on is taken: at least two
// items, since a feed's pages overlap by one. Where no such page shows two, it is longer.
func numbered(skip, limit int) (page, size, before int) {
	limit = max(limit, 1)
	size = 1
	for s, most := limit, 0; s > most; s-- { // a page of s items shows s at most
		if shows := s - skip%s; shows > most {
			size, most = s, shows
		}
	}
	for limit > 1 && size-skip%size < 2 {
		size = max(size, limit) + 1
	}
	return skip/size + 1, size, skip % size
}
