package dialer

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func asked(ref, number string) *job {
	request, err := (&happyrobot.OutboundCall{PhoneNumber: number}).Encode()
	if err != nil {
		panic(err)
	}
	return &job{call: &Call{Ref: ref, Request: request}}
}

func made(id, ref, number string) happyrobot.CreatedCall {
	c := happyrobot.CreatedCall{ID: id, Metadata: happyrobot.CallMetadata{To: number}}
	if ref != "" {
		c.Metadata.Custom, _ = json.Marshal(map[string]string{RefMember: ref})
	}
	return c
}

func TestRepliesAreMatchedByReferenceThenByUniqueNumber(t *testing.T) {
	tests := map[string]struct {
		jobs    []*job
		created []happyrobot.CreatedCall
		want    []string // call ids
		echoed  bool
	}{
		"in another order": {
			[]*job{asked("a", "+1 1"), asked("b", "+1 2")},
			[]happyrobot.CreatedCall{made("B", "b", "+12"), made("A", "a", "+11")},
			[]string{"A", "B"}, true,
		},
		"a reference beats a number": {
			[]*job{asked("a", "+11"), asked("b", "+12")},
			[]happyrobot.CreatedCall{made("A", "a", "+12"), made("B", "b", "+11")},
			[]string{"A", "B"}, true,
		},
		"a call left out": {
			[]*job{asked("a", "+11"), asked("b", "+12")},
			[]happyrobot.CreatedCall{made("B", "b", "+12")},
			[]string{"", "B"}, true,
		},
		"no echo, numbers that differ": {
			[]*job{asked("a", "+1 (202) 555-0101"), asked("b", "+12025550102")},
			[]happyrobot.CreatedCall{made("B", "", "12025550102"), made("A", "", "+12025550101")},
			[]string{"A", "B"}, false,
		},
		"no echo, a number asked for twice": {
			[]*job{asked("a", "+11"), asked("b", "+11"), asked("c", "+13")},
			[]happyrobot.CreatedCall{made("X", "", "+11"), made("C", "", "+13")},
			[]string{"", "", "C"}, false,
		},
		"no echo, a number answered twice": {
			[]*job{asked("a", "+11")},
			[]happyrobot.CreatedCall{made("X", "", "+11"), made("Y", "", "+11")},
			[]string{""}, false,
		},
		"no echo of one of two with the same number": {
			[]*job{asked("a", "+11"), asked("b", "+11")},
			[]happyrobot.CreatedCall{made("X", "", "+11"), made("B", "b", "+11")},
			[]string{"X", "B"}, false,
		},
		"somebody else's reference": {
			[]*job{asked("a", "+11")},
			[]happyrobot.CreatedCall{made("X", "x", "+11")},
			[]string{""}, true,
		},
		"no number, no reference": {
			[]*job{asked("a", "")},
			[]happyrobot.CreatedCall{made("X", "", "")},
			[]string{""}, false,
		},
		"a call without an id": {
			[]*job{asked("a", "+11")},
			[]happyrobot.CreatedCall{made("", "a", "+11")},
			[]string{""}, true,
		},
		"a call without an id beside the same with one": {
			[]*job{asked("a", "+11")},
			[]happyrobot.CreatedCall{made("", "a", "+11"), made("A", "a", "+11")},
			[]string{"A"}, true,
		},
		"a reference twice": {
			[]*job{asked("a", "+11")},
			[]happyrobot.CreatedCall{made("X", "a", "+11"), made("Y", "a", "+11")},
			[]string{"X"}, true,
		},
		"an id for two references": {
			[]*job{asked("a", "+11"), asked("b", "+12"), asked("c", "+13")},
			[]happyrobot.CreatedCall{made("X", "a", "+11"), made("X", "b", "+12"), made("C", "c", "+13")},
			[]string{"", "", "C"}, true,
		},
		"an id with a reference and without": {
			[]*job{asked("a", "+11"), asked("b", "+12")},
			[]happyrobot.CreatedCall{made("X", "a", "+11"), made("X", "", "+12")},
			[]string{"", ""}, false,
		},
		"nothing": {[]*job{asked("a", "+11")}, nil, []string{""}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			hits, echoed := match(tt.jobs, tt.created)
			got := make([]string, len(hits))
			for i, h := range hits {
				assert.Same(t, tt.jobs[i], h.job)
				got[i] = h.callID
			}
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
		var created []happyrobot.CreatedCall
		byID := map[string][]happyrobot.CreatedCall{}
		byRef := map[string][]happyrobot.CreatedCall{} // of those with an id
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
			if id != "" {
				byID[id] = append(byID[id], c)
				byRef[ref] = append(byRef[ref], c)
			}
		}
		hits, echoed := match(jobs, created)
		require.Len(t, hits, len(jobs))
		require.Equal(t, len(byRef[""]) == 0, echoed)
		used := map[string]bool{}
		for i, h := range hits {
			require.Same(t, jobs[i], h.job)
			ref := h.job.call.Ref
			sure := slices.ContainsFunc(byRef[ref], func(c happyrobot.CreatedCall) bool { return len(byID[c.ID]) == 1 })
			require.False(t, sure && h.callID == "", "a call that carries the reference, and no other, is its own")
			if h.callID == "" {
				continue
			}
			require.False(t, used[h.callID], "one call for two leads")
			used[h.callID] = true
			require.NotEmpty(t, byID[h.callID], "a call that was never created")
			if refOf(byID[h.callID][0].Metadata) == "" {
				require.Len(t, byID[h.callID], 1, "without a reference, what is listed twice is no one's")
			}
			for _, c := range byID[h.callID] {
				require.Equal(t, refOf(byID[h.callID][0].Metadata), refOf(c.Metadata), "a call of two names")
			}
			if len(byRef[ref]) > 0 {
				require.Equal(t, ref, refOf(byID[h.callID][0].Metadata), "a reference decides")
				continue
			}
			require.Empty(t, refOf(byID[h.callID][0].Metadata), "somebody else's call")
			require.Equal(t, digits(h.job.call.Request.Number()), digits(byID[h.callID][0].Metadata.To))
		}
		slices.Reverse(created)
		again, _ := match(jobs, created)
		for i := range hits {
			require.Equal(t, hits[i].callID == "", again[i].callID == "", "the order of a reply means nothing")
			if len(byRef[hits[i].job.call.Ref]) <= 1 {
				require.Equal(t, hits[i].callID, again[i].callID, "the order of a reply means nothing")
			}
		}
	})
}
