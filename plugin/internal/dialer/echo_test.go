package dialer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

func TestWithoutAnEchoCallsAreKnownByTheirNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, calls := &fakeAPI{onPost: func(int, []*Call) answer { return answer{dropsEcho: true} }}, leads(t, 3)
		warned := 0
		d := open(t, api, ledger.NewMemory(), func(o *Options) { o.OnEchoMissing = func() { warned++ } })
		for i, r := range dial(t, d, calls...) {
			assert.Equal(t, Accepted, r.Outcome)
			assert.Equal(t, api.placed[i].ID, r.CallID)
		}
		dial(t, d, lead(t, 4))
		assert.Equal(t, 1, warned)
		assert.Empty(t, api.lists())
	})
}

func TestWithoutAnEchoANumberAskedForTwiceIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{onPost: first(answer{dropsEcho: true})}
		a, b := newCall("a", "+12025550101"), newCall("b", "+1 202 555 0101")
		results := dial(t, open(t, api, ledger.NewMemory(), redial), a, b, lead(t, 2))
		assert.Equal(t, []Outcome{Held, Held, Accepted}, outcomes(results))
		assertOneCallEach(t, api, []Call{a, b, lead(t, 2)})
	})
}

func TestOnceTheEchoIsMissingNoUnknownIsRedialed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{onPost: first(answer{dropsEcho: true}, answer{creates: none, err: lost})}
		d := open(t, api, ledger.NewMemory(), redial)
		dial(t, d, lead(t, 1))
		assert.Equal(t, []Outcome{Held}, outcomes(dial(t, d, lead(t, 2))), "that it is not listed proves nothing")
		assert.Len(t, api.requests(), 2)
	})
}

// A dialer that saw no reply yet cannot know that the echo is missing, but it
// sees a call to this number that could be its own.
func TestANumberListedWithoutAReferenceIsNotRedialed(t *testing.T) {
	for name, a := range map[string]answer{
		"at once":                 {err: lost, dropsEcho: true},
		"late":                    {err: lost, dropsEcho: true, listedIn: settle / 2},
		"without a readable time": {err: lost, dropsEcho: true, dropsTime: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api, one := &fakeAPI{onPost: first(a)}, lead(t, 1)
				assert.Equal(t, []Outcome{Held}, outcomes(dial(t, open(t, api, ledger.NewMemory(), redial), one)))
				assertOneCallEach(t, api, []Call{one})
			})
		})
	}
}

func TestAnOldCallToTheSameNumberStandsInNobodysWay(t *testing.T) {
	for name, dates := range map[string]bool{"a newer call shows how late it is at the API": false, "its Date does": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, shared, one := &fakeAPI{}, &Shared{}, lead(t, 1)
				fake.create([]*Call{&one}, answer{dropsEcho: true})
				fake.placed[0].ref = "somebody else's"
				time.Sleep(lookBack + 2*settle)
				var api API = fake
				if dates {
					api = &dated{fakeAPI: fake, clock: &shared.Clock, date: func() (time.Time, bool) { return fake.now(), true }}
				} else {
					other := lead(t, 2)
					fake.create([]*Call{&other}, answer{})
				}
				fake.onPost = first(answer{creates: none, err: lost})
				d := open(t, api, ledger.NewMemory(), redial, func(o *Options) { o.Shared = shared })
				assert.Equal(t, []Outcome{Accepted}, outcomes(dial(t, d, one)))
				assertOneCallEach(t, fake, []Call{one})
			})
		})
	}
}
