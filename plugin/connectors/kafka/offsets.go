package kafka

// mark is an offset that may be committed: the first one that is still to be done.
type mark struct {
	offset int64
	epoch  int32 // of the leader that gave the last record before it
}

// offsets knows which records of one partition are done, and so up to where its offset
// may be committed: never past the first that is not.
type offsets struct {
	open []*span // what was handed out and is not behind the mark, in that order
	at   mark
	any  bool // at is set
}

// span is some records in a row that were handed out together.
type span struct {
	after mark // where the partition stands once they are done
	done  bool
}

// handOut notes that records up to one of this offset are in work.
func (o *offsets) handOut(last int64, epoch int32) *span {
	s := &span{after: mark{offset: last + 1, epoch: epoch}}
	o.open = append(o.open, s)
	return s
}

// finish notes that the records of a span are done. The mark passes them once all before
// them are done as well.
func (o *offsets) finish(s *span) {
	s.done = true
	for len(o.open) > 0 && o.open[0].done {
		o.at, o.any = o.open[0].after, true
		o.open[0] = nil
		o.open = o.open[1:]
	}
}

// committable is the mark, if there is one.
func (o *offsets) committable() (mark, bool) { return o.at, o.any }
