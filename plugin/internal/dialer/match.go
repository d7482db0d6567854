package dialer

import "strings"

// hit is a job with the call that was found for it, if any.
type hit struct {
	job  *job
	call *PlacedCall // nil: not found; nameless: shown, and cannot be recorded
}

// found says whether the call can be recorded.
func (h hit) found() bool { return h.call != nil && h.call.named() }

// named says whether a call has an id under which it can be recorded. The API documents
// ids as text, and whatever reads calls by their id takes nothing else.
func (c *PlacedCall) named() bool { return strings.TrimSpace(c.ID) != "" }

// nameless stands for a call that carries a reference and no id of its own: the id is
// missing, cannot be read, or the reply gives it to several. It was created all the same.
var nameless = &PlacedCall{}

// match finds each job's call in a reply: by our reference, and where a call
// carries none, by a number that is unique on both sides. Never by position: the
// order and the completeness of a reply are not documented.
func match(jobs []*job, reply []PlacedCall) []hit {
	ambiguous := idsOfTwoNames(reply)
	byRef := byReference(reply, ambiguous)
	hits := make([]hit, len(jobs))
	var rest []*job
	for i, j := range jobs {
		hits[i] = hit{j, byRef[j.call.Ref]}
		if hits[i].call == nil {
			rest = append(rest, j)
		}
	}
	if len(rest) == 0 {
		return hits
	}
	byNumber := byUniqueNumber(rest, reply, ambiguous)
	for i := range hits {
		if hits[i].call == nil {
			hits[i].call = byNumber[digits(jobs[i].call.Number)]
		}
	}
	return hits
}

// echoed says whether each call of a reply carries a reference. What has neither an id
// nor a number is taken for no call.
func echoed(reply []PlacedCall) bool {
	for i := range reply {
		if c := &reply[i]; c.Ref == "" && (c.named() || digits(c.Number) != "") {
			return false
		}
	}
	return true
}

// byReference are the calls of a reply that carry a reference, the first of each that
// has an id of its own.
func byReference(reply []PlacedCall, ambiguous map[string]bool) map[string]*PlacedCall {
	calls := make(map[string]*PlacedCall, len(reply))
	for i := range reply {
		c := &reply[i]
		if c.Ref == "" {
			continue
		}
		before, ref := calls[c.Ref], c.Ref
		if !c.named() || ambiguous[c.ID] {
			c = nameless
		}
		if before == nil || before == nameless {
			calls[ref] = c
		}
	}
	return calls
}

// byUniqueNumber are the calls without a reference to numbers that one call of the
// reply has, and one job.
func byUniqueNumber(jobs []*job, reply []PlacedCall, ambiguous map[string]bool) map[string]*PlacedCall {
	asked := make(map[string]int, len(jobs))
	for _, j := range jobs {
		asked[digits(j.call.Number)]++
	}
	calls, seen := map[string]*PlacedCall{}, map[string]bool{}
	for i := range reply {
		c := &reply[i]
		if !c.named() || c.Ref != "" || ambiguous[c.ID] {
			continue
		}
		n := digits(c.Number)
		if n == "" || asked[n] != 1 {
			continue
		}
		if calls[n] = c; seen[n] {
			calls[n] = nil
		}
		seen[n] = true
	}
	return calls
}

// idsOfTwoNames are call ids that a reply gives to more than one reference, or
// number where it has no reference: one call must not stand for two leads, so it
// stands for none.
func idsOfTwoNames(reply []PlacedCall) (ids map[string]bool) {
	names := make(map[string]string, len(reply))
	for i := range reply {
		id, name := reply[i].ID, reply[i].Ref
		if !reply[i].named() {
			continue
		}
		if name == "" {
			name = "to " + digits(reply[i].Number)
		}
		if before, listed := names[id]; listed && before != name {
			if ids == nil {
				ids = map[string]bool{}
			}
			ids[id] = true
		}
		names[id] = name
	}
	return ids
}

// digits makes numbers comparable however they are punctuated.
func digits(number string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, number)
}
