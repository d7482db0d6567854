package dialer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// salted are leads as a process with this dial_ref_salt sends them.
func salted(t *testing.T, count int, salt string) []Call {
	t.Helper()
	calls := leads(t, count)
	for i := range calls {
		calls[i].Ref = Reference(calls[i].Key, salt)
	}
	return calls
}

func TestAReferenceRevealsNoKeyWithASalt(t *testing.T) {
	key, _ := Identify("+12025550101", nil)
	assert.Equal(t, key, Reference(key, ""), "as it was before there was a salt")
	one, two := Reference(key, "pepper"), Reference(key, "sugar")
	assert.Equal(t, "afdb09568cdf5d17305cf3400a3938e5", one, "a reference, once given, stays")
	assert.Len(t, one, len(key))
	assert.NotEqual(t, key, one)
	assert.NotEqual(t, one, two)
}

// A process leaves a hundred calls in doubt: killed, so that its claims stand, or stopped, so
// that they are held. A third of them was created and is listed, a third is listed late,
// and a third was not created. Then processes contend for them that have its salt, none or
// another one.
func TestASaltThatChangesWhileCallsAreInDoubtDoublesNothing(t *testing.T) {
	salts := []string{"", "pepper", "sugar"}
	for _, before := range salts {
		for _, killed := range []bool{true, false} {
			t.Run(fmt.Sprintf("before %q, killed %v", before, killed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { changeTheSalt(t, before, killed, salts) })
			})
		}
	}
}

func changeTheSalt(t *testing.T, before string, killed bool, salts []string) {
	const doubts, each = 99, 11
	api, mem := &fakeAPI{}, ledger.NewMemory()
	api.onPost = func(n int, _ []*Call) answer {
		const takes = 2 * time.Second
		return answer{
			takes: takes, err: lost,
			creates:  func(*Call) bool { return n%3 > 0 },
			listedIn: map[bool]time.Duration{true: settle - time.Second, false: -takes}[n%3 == 1],
		}
	}
	old := startProcess(mem, "OLD", 0)
	ctx, stop := context.WithCancel(t.Context())
	var dials sync.WaitGroup
	dying := open(t, api, old, redial)
	for calls := range slices.Chunk(salted(t, doubts, before), each) {
		dials.Go(func() { _, _ = dying.Dial(ctx, calls) })
	}
	time.Sleep(time.Second)
	require.Len(t, api.requests(), doubts/each)
	if killed {
		old.kill()
	} else {
		time.Sleep(2 * time.Second) // each answer is lost by now
	}
	stop()
	dials.Wait()
	record, err := mem.Get(t.Context(), lead(t, 1).Key)
	require.NoError(t, err)
	assert.Equal(t, before != "", strings.Contains(string(record), `"ref"`), "without a salt records are as they were: %s", record)

	api.onPost = nil
	results := make([][]Result, 2*len(salts))
	for n := range results {
		d, calls := open(t, api, startProcess(mem, fmt.Sprint("NEW", n), 0), redial), salted(t, doubts, salts[n%len(salts)])
		dials.Go(func() { results[n] = dial(t, d, calls...) })
	}
	dials.Wait()
	byNumber := map[string]int{}
	for _, p := range api.placed {
		byNumber[p.Number]++
	}
	assert.Len(t, byNumber, doubts)
	for number, n := range byNumber {
		assert.Equal(t, 1, n, number)
	}
	for _, r := range results {
		for i := range r {
			assert.Contains(t, []Outcome{Accepted, Duplicate}, r[i].Outcome)
		}
	}
}

// What a duplicate is told is the name that the API has, whatever the salt is now.
func TestADuplicateHasTheReferenceThatWasSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, mem := &fakeAPI{}, ledger.NewMemory()
		dial(t, open(t, api, mem), salted(t, 1, "pepper")...)
		r := dial(t, open(t, api, mem), salted(t, 1, "sugar")...)[0]
		assert.Equal(t, Duplicate, r.Outcome)
		assert.Equal(t, api.placed[0].Ref, r.Ref)
		assert.Empty(t, dial(t, open(t, api, mem), salted(t, 1, "pepper")...)[0].Ref, "nothing to say")
	})
}

// A record that cannot be read hides the reference of its attempt. The salt of now does
// not say what it was: no list can show that there is no such call.
func TestAnUnreadableRecordIsHeldWhateverTheSalt(t *testing.T) {
	for _, before := range []string{"", "pepper"} {
		for _, now := range []string{"", "pepper", "sugar"} {
			t.Run(fmt.Sprintf("before %q, now %q", before, now), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					api, mem := &fakeAPI{onPost: first(answer{takes: timeout})}, ledger.NewMemory()
					old, ttl := startProcess(mem, "OLD", 0), window
					called := salted(t, 1, before)
					ctx, die := context.WithCancel(t.Context())
					var dying sync.WaitGroup
					defer dying.Wait()
					dying.Go(func() { _, _ = open(t, api, old, redial).Dial(ctx, called) })
					time.Sleep(time.Second)
					old.kill()
					die()
					require.NoError(t, mem.Set(t.Context(), called[0].key(), []byte(`{"v":1,"sta`), &ttl))

					r := dial(t, open(t, api, mem, redial), salted(t, 1, now)...)[0]
					assert.Len(t, api.requests(), 1)
					if now == before { // it is listed under the name that is looked for
						assert.Equal(t, Accepted, r.Outcome)
						return
					}
					assert.Equal(t, ReasonUnknown, r.Reason)
					require.ErrorContains(t, r.Err, "its record in the ledger cannot be read")
				})
			})
		}
	}
}
