package dialer

import (
	"strings"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// match finds each job's call in a reply: by our reference, and where a call
// carries none, by a number that is unique on both sides. Never by position: the
// order and the completeness of a reply are not documented. A hit without a
// callID was not found. echoed is false when any created call came without a
// reference.
func match(jobs []*job, created []happyrobot.CreatedCall) (hits []hit, echoed bool) {
	byRef := make(map[string]*happyrobot.CreatedCall, len(created))
	byNumber := map[string]*happyrobot.CreatedCall{}
	calls := map[string]int{} // calls without a reference, by number
	echoed = true
	ambiguous, nobodys := idsOfTwoNames(created), &happyrobot.CreatedCall{}
	for i := range created {
		c := &created[i]
		if c.ID == "" {
			continue
		}
		ref := refOf(c.Metadata)
		if ambiguous[c.ID] {
			c = nobodys
		}
		if ref != "" {
			if before := byRef[ref]; before == nil || before == nobodys {
				byRef[ref] = c
			}
			continue
		}
		echoed = false
		if c == nobodys {
			continue
		}
		n := digits(c.Metadata.To)
		byNumber[n] = c
		calls[n]++
	}
	lonely := map[string]int{} // jobs without a reply by reference, by number
	for _, j := range jobs {
		if byRef[j.call.Ref] == nil {
			lonely[digits(j.call.Request.Number())]++
		}
	}
	hits = make([]hit, len(jobs))
	for i, j := range jobs {
		hits[i].job = j
		c := byRef[j.call.Ref]
		if n := digits(j.call.Request.Number()); c == nil && n != "" && lonely[n] == 1 && calls[n] == 1 {
			c = byNumber[n]
		}
		if c != nil {
			hits[i].callID, hits[i].raw = c.ID, c.Raw
		}
	}
	return hits, echoed
}

// idsOfTwoNames are call ids that a reply gives to more than one reference, or
// number where it has no reference: one call must not stand for two leads, so it
// stands for none.
func idsOfTwoNames(created []happyrobot.CreatedCall) (ids map[string]bool) {
	names := make(map[string]string, len(created))
	for i := range created {
		id, name := created[i].ID, refOf(created[i].Metadata)
		if name == "" {
			name = "to " + digits(created[i].Metadata.To)
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

func refOf(m happyrobot.CallMetadata) string { return m.CustomText(RefMember) }

// digits makes numbers comparable however they are punctuated.
func digits(number string) string {
	return strings.Map(func(c rune) rune {
		if c < '0' || c > '9' {
			return -1
		}
		return c
	}, number)
}

func (r *run) noteEchoMissing() {
	if r.echoMissing.CompareAndSwap(false, true) && r.opts.OnEchoMissing != nil {
		r.opts.OnEchoMissing()
	}
}
