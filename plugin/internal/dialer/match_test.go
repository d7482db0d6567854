package dialer

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func asked(ref, number string) *job { return &job{call: &Call{Ref: ref, Number: number}} }

func made(id, ref, number string) PlacedCall { return PlacedCall{ID: id, Ref: ref, Number: number} }

// matched are the ids that match finds, and whether every call was marked.
func matched(t require.TestingT, jobs []*job, reply []PlacedCall) (ids []string, marked bool) {
	for i, h := range match(jobs, reply) {
		require.Same(t, jobs[i], h.job)
		if h.found() {
			ids = append(ids, h.call.ID)
		} else {
			ids = append(ids, "")
		}
	}
	return ids, echoed(reply)
}

func TestRepliesAreMatchedByReferenceThenByUniqueNumber(t *testing.T) {
	tests := map[string]struct {
		jobs    []*job
		created []PlacedCall
		want    []string // call ids
		echoed  bool
	}{
		"in another order": {
			[]*job{asked("a", "+1 1"), asked("b", "+1 2")},
			[]PlacedCall{made("B", "b", "+12"), made("A", "a", "+11")},
			[]string{"A", "B"}, true,
		},
		"a reference beats a number": {
			[]*job{asked("a", "+11"), asked("b", "+12")},
			[]PlacedCall{made("A", "a", "+12"), made("B", "b", "+11")},
			[]string{"A", "B"}, true,
		},
		"a call left out": {
			[]*job{asked("a", "+11"), asked("b", "+12")},
			[]PlacedCall{made("B", "b", "+12")},
			[]string{"", "B"}, true,
		},
		"no echo, numbers that differ": {
			[]*job{asked("a", "+1 (202) 555-0101"), asked("b", "+12025550102")},
			[]PlacedCall{made("B", "", "12025550102"), made("A", "", "+12025550101")},
			[]string{"A", "B"}, false,
		},
		"no echo, a number asked for twice": {
			[]*job{asked("a", "+11"), asked("b", "+11"), asked("c", "+13")},
			[]PlacedCall{made("X", "", "+11"), made("C", "", "+13")},
			[]string{"", "", "C"}, false,
		},
		"no echo, a number answered twice": {
			[]*job{asked("a", "+11")},
			[]PlacedCall{made("X", "", "+11"), made("Y", "", "+11")},
			[]string{""}, false,
		},
		"no echo of one of two with the same number": {
			[]*job{asked("a", "+11"), asked("b", "+11")},
			[]PlacedCall{made("X", "", "+11"), made("B", "b", "+11")},
			[]string{"X", "B"}, false,
		},
		"somebody else's reference": {
			[]*job{asked("a", "+11")},
			[]PlacedCall{made("X", "x", "+11")},
			[]string{""}, true,
		},
		"no number, no reference": {
			[]*job{asked("a", "")},
			[]PlacedCall{made("X", "", "")},
			[]string{""}, false,
		},
		"a call without an id": {
			[]*job{asked("a", "+11")},
			[]PlacedCall{made("", "a", "+11")},
			[]string{""}, true,
		},
		"a call without an id beside the same with one": {
			[]*job{asked("a", "+11")},
			[]PlacedCall{made("", "a", "+11"), made("A", "a", "+11")},
			[]string{"A"}, true,
		},
		"a reference twice": {
			[]*job{asked("a", "+11")},
			[]PlacedCall{made("X", "a", "+11"), made("Y", "a", "+11")},
			[]string{"X"}, true,
		},
		"an id for two references": {
			[]*job{asked("a", "+11"), asked("b", "+12"), asked("c", "+13")},
			[]PlacedCall{made("X", "a", "+11"), made("X", "b", "+12"), made("C", "c", "+13")},
			[]string{"", "", "C"}, true,
		},
		"an id with a reference and without": {
			[]*job{asked("a", "+11"), asked("b", "+12")},
			[]PlacedCall{made("X", "a", "+11"), made("X", "", "+12")},
			[]string{"", ""}, false,
		},
		"a call with neither reference nor id": {
			[]*job{asked("a", "+11")},
			[]PlacedCall{made("", "", "+11")},
			[]string{""}, false,
		},
		"what is no call": {
			[]*job{asked("a", "+11")},
			[]PlacedCall{made("", "", ""), made("A", "a", "+11")},
			[]string{"A"}, true,
		},
		"a blank id": {
			[]*job{asked("a", "+11")},
			[]PlacedCall{made(" ", "a", "+11")},
			[]string{""}, true,
		},
		"nothing": {[]*job{asked("a", "+11")}, nil, []string{""}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, echoed := matched(t, tt.jobs, tt.created)
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.echoed, echoed)
		})
	}
}

// Each byte is a call asked for, by its number. Each pair of bytes is a call of
// the reply, by its reference and number, and by its id: ids and references may
// come twice, or not at all.
func FuzzMatch(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{0x11, 1, 0x02, 2, 0x03, 3})
	f.Add([]byte{1, 1}, []byte{0x01, 1})
	f.Add([]byte{1, 1}, []byte{0x11, 1, 0x01, 2})
	f.Add([]byte{0}, []byte{0x00, 1, 0x10, 2, 0xf0, 3})
	f.Add([]byte{1, 2}, []byte{0x11, 1, 0x22, 1})
	f.Add([]byte{1, 2}, []byte{0x11, 1, 0x02, 1})
	f.Add([]byte{1, 2}, []byte{0x11, 1, 0x11, 2, 0x22, 0})
	f.Add([]byte{1, 10}, []byte{0x01, 9, 0x0a, 9})
	f.Add([]byte{1}, []byte{0x11, 1, 0x21, 1, 0x01, 2})
	f.Fuzz(func(t *testing.T, numbers, reply []byte) {
		number := func(b byte) string {
			if b&0x0f == 0 {
				return ""
			}
			return fmt.Sprintf("+1 %d", b&0x0f)
		}
		jobs := make([]*job, len(numbers))
		for i, b := range numbers {
			jobs[i] = asked(fmt.Sprintf("ref-%d", i+1), number(b))
		}
		var created []PlacedCall
		byID := map[string][]PlacedCall{}
		byRef := map[string][]PlacedCall{} // of those with an id
		marked := true
		for pair := range slices.Chunk(reply, 2) {
			if len(pair) < 2 {
				break
			}
			ref, id := "", ""
			if pair[0]>>4 != 0 {
				ref = fmt.Sprintf("ref-%d", pair[0]>>4)
			}
			if pair[1] != 0 {
				id = fmt.Sprintf("call-%d", pair[1])
			}
			c := made(id, ref, number(pair[0]))
			created = append(created, c)
			marked = marked && (ref != "" || id == "" && c.Number == "")
			if id != "" {
				byID[id] = append(byID[id], c)
				byRef[ref] = append(byRef[ref], c)
			}
		}
		ids, echoed := matched(t, jobs, created)
		require.Len(t, ids, len(jobs))
		require.Equal(t, marked, echoed)
		used := map[string]bool{}
		for i, id := range ids {
			ref := jobs[i].call.Ref
			sure := slices.ContainsFunc(byRef[ref], func(c PlacedCall) bool { return len(byID[c.ID]) == 1 })
			require.False(t, sure && id == "", "a call that carries the reference, and no other, is its own")
			if id == "" {
				continue
			}
			require.False(t, used[id], "one call for two leads")
			used[id] = true
			require.NotEmpty(t, byID[id], "a call that was never created")
			if byID[id][0].Ref == "" {
				require.Len(t, byID[id], 1, "without a reference, what is listed twice is no one's")
			}
			for _, c := range byID[id] {
				require.Equal(t, byID[id][0].Ref, c.Ref, "a call of two names")
			}
			if len(byRef[ref]) > 0 {
				require.Equal(t, ref, byID[id][0].Ref, "a reference decides")
				continue
			}
			require.Empty(t, byID[id][0].Ref, "somebody else's call")
			require.Equal(t, digits(jobs[i].call.Number), digits(byID[id][0].Number))
		}
		slices.Reverse(created)
		again, _ := matched(t, jobs, created)
		for i := range ids {
			require.Equal(t, ids[i] == "", again[i] == "", "the order of a reply means nothing")
			if len(byRef[jobs[i].call.Ref]) <= 1 {
				require.Equal(t, ids[i], again[i], "the order of a reply means nothing")
			}
		}
	})
}
