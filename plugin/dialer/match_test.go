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
	return &job{call: &Call{Ref: ref, Request: happyrobot.OutboundCall{PhoneNumber: number}}}
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

// Each byte is a call asked for, by its number, or a call of the reply, by its
// reference and number.
func FuzzMatch(f *testing.F) {
	f.Add([]byte{1, 2, 3}, []byte{0x11, 0x02, 0x03})
	f.Add([]byte{1, 1}, []byte{0x01})
	f.Add([]byte{1, 1}, []byte{0x11, 0x01})
	f.Add([]byte{0}, []byte{0x00, 0x10, 0xf0})
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
		byID := map[string]happyrobot.CreatedCall{}
		refs := map[string]bool{}
		for i, b := range reply {
			ref := ""
			if b>>4 != 0 {
				ref = fmt.Sprintf("ref-%d", b>>4)
			}
			if refs[ref] && ref != "" {
				continue
			}
			refs[ref] = true
			c := made(fmt.Sprintf("call-%d", i), ref, number(b))
			created, byID[c.ID] = append(created, c), c
		}
		hits, echoed := match(jobs, created)
		require.Len(t, hits, len(jobs))
		require.Equal(t, !refs[""], echoed)
		used := map[string]bool{}
		for i, h := range hits {
			require.Same(t, jobs[i], h.job)
			if refs[h.job.call.Ref] {
				require.Equal(t, h.job.call.Ref, refOf(byID[h.callID].Metadata), "a reference decides")
			}
			if h.callID == "" {
				continue
			}
			require.False(t, used[h.callID], "one call for two leads")
			used[h.callID] = true
			c := byID[h.callID]
			if refOf(c.Metadata) == "" {
				require.Equal(t, digits(h.job.call.Request.PhoneNumber), digits(c.Metadata.To))
			} else {
				require.Equal(t, h.job.call.Ref, refOf(c.Metadata))
			}
		}
		slices.Reverse(created)
		again, _ := match(jobs, created)
		require.Equal(t, hits, again, "the order of a reply means nothing")
	})
}
