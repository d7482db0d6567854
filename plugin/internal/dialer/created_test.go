package dialer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// What follows from an answer, written out once more: the table must not be tested
// against itself.
func TestEachClassHasItsAction(t *testing.T) {
	for class, want := range map[happyrobot.Class]struct {
		cause  Cause // "" if the gate opens
		single bool
		silent bool
		doubt  doubt
		then   remedy
	}{
		happyrobot.ClassAnswered:  {"", false, false, ofAll, sendAgain},
		happyrobot.ClassNotSent:   {Unanswered, false, false, noDoubt, sendAgain},
		happyrobot.ClassThrottled: {RateLimited, true, false, ofMost, sendAgain},
		happyrobot.ClassSetup:     {Setup, true, false, ofMost, sendAgain},
		happyrobot.ClassRefused:   {"", false, false, ofSeveral, narrow},
		happyrobot.ClassUnknown:   {Unanswered, true, true, ofAll, sendAgain},
		// What the table does not name may have been created.
		happyrobot.ClassOther:    {Unanswered, true, true, ofAll, sendAgain},
		happyrobot.ClassNotFound: {Unanswered, true, true, ofAll, sendAgain},
		"of a later version":     {Unanswered, true, true, ofAll, sendAgain},
	} {
		a := actionOn(class)
		var met trouble
		if a.met != nil {
			met = *a.met
		}
		assert.Equal(t, trouble{want.cause, want.single, want.silent}, met, class)
		assert.Equal(t, want.doubt, a.doubt, class)
		assert.Equal(t, want.then, a.then, class)
	}
	for class, err := range map[happyrobot.Class]error{
		happyrobot.ClassOther:     errors.New("of unknown kind"),
		happyrobot.ClassThrottled: fmt.Errorf("wrapped: %w", status(429)),
		happyrobot.ClassNotSent:   neverSent(t),
		happyrobot.ClassUnknown:   lost,
	} {
		assert.Equal(t, class, happyrobot.ClassOf(err), "what the tests of this package send")
	}
}

const (
	notListed   = "held: unknown: the call may have been placed, and 20s later the API did not list it; it is not dialed again"
	notAsked    = "held: not_looked_up: the call may have been placed, and the API could not be asked within 2m30s; it is not dialed again"
	maybeOthers = "held: claimed_elsewhere: another batch of this process may have placed the call; it is not dialed again"
)

func TestAHeldCallSaysWhy(t *testing.T) {
	gone, refused := answer{creates: none, err: lost}, answer{creates: none, err: status(401)}
	for name, tt := range map[string]struct {
		posts     func(int, []*Call) answer // nil: all is well
		list      error
		elsewhere bool          // another process has the claim
		within    time.Duration // retry.max_elapsed_time; 0: long enough for such a claim to grow stale
		onUnknown OnUnknown
		want      string
	}{
		"not listed":                         {posts: first(gone), want: notListed},
		"not asked":                          {posts: first(gone), list: status(503), want: notAsked},
		"elsewhere":                          {elsewhere: true, within: time.Minute, want: maybeOthers},
		"elsewhere, and then not listed":     {elsewhere: true, want: notListed},
		"elsewhere, and then not asked":      {elsewhere: true, list: status(503), want: notAsked},
		"elsewhere, absent, and then no try": {elsewhere: true, onUnknown: RedialAbsent, posts: func(int, []*Call) answer { return refused }, want: notListed},
		// Not gave_up: the first attempt left, and an absent call is not ruled out for certain.
		"absent, and then no try": {onUnknown: RedialAbsent, want: notListed, posts: func(n int, _ []*Call) answer {
			if n == 1 {
				return gone
			}
			return refused
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem, one := ledger.NewMemory(), lead(t, 1)
				if tt.elsewhere {
					claimAndDie(t, mem, one)
				}
				api := &fakeAPI{onPost: tt.posts, onList: func(int) error { return tt.list }}
				d := open(t, api, mem, func(o *Options) { o.OnUnknown, o.MaxElapsedTime = tt.onUnknown, cmp.Or(tt.within, 150*time.Second) })
				assert.Equal(t, tt.want, dial(t, d, one)[0].Err.Error())
			})
		})
	}
	t.Run("absent, and then elsewhere", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			api, mem, one := &fakeAPI{onPost: first(gone)}, ledger.NewMemory(), lead(t, 1)
			other := witness(t, mem, one)
			d := open(t, api, mem, redial, func(o *Options) {
				o.MaxElapsedTime = 90 * time.Second
				o.Wait = func(context.Context) error {
					if len(api.requests()) == 1 && len(api.lists()) > 0 {
						takeOverDoubt(t, other, one)
					}
					return nil
				}
			})
			assert.Equal(t, maybeOthers, dial(t, d, one)[0].Err.Error())
		})
	})
}

// A replica that dials the same lead is not worth a word, one that died is.
func TestWaitingForAnotherProcessIsReportedWhenItTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, calls, told := ledger.NewMemory(), leads(t, 2), &reports{}
		claimAndDie(t, mem, calls[0])
		claimAndDie(t, mem, calls[1])
		time.AfterFunc(time.Minute, func() { // its owner released it, and another one died with it
			require.NoError(t, mem.Delete(t.Context(), calls[1].key()))
			claimAndDie(t, mem, calls[1])
		})
		dial(t, open(t, &fakeAPI{}, mem, redial, told.to, func(o *Options) { o.MaxCallsPerRequest = 1 }), calls...)
		begins := told.said("claimed_elsewhere begins")
		require.Len(t, begins, 1)
		assert.Regexp(t, `^claimed_elsewhere begins: another batch of this process claimed the same calls at 2000-01-01T00:00:00Z by its clock, `+
			`and may be dialing them; what it has not recorded by 2000-01-01T00:01:50Z is looked up then$`, begins[0])
		assert.Len(t, told.said("claimed_elsewhere ends"), 1, "when both claims are resolved")
		assert.Len(t, told.lines, 2)

		quick := &reports{}
		began := time.Now()
		api := &fakeAPI{onPost: func(int, []*Call) answer { return answer{takes: quietWait - time.Second} }}
		done := make(chan struct{})
		one := leads(t, 3)[2:]
		go func() {
			defer close(done)
			dial(t, open(t, api, mem), one...)
		}()
		synctest.Wait()
		assert.Equal(t, []Outcome{Duplicate}, outcomes(dial(t, open(t, api, mem, quick.to), one...)))
		<-done
		assert.Greater(t, time.Since(began), quietWait-2*time.Second)
		assert.Empty(t, quick.lines)
	})
}

func TestCallsThatBecomeFreeOneAfterTheOtherAreOneWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api, mem, calls, told := &fakeAPI{}, ledger.NewMemory(), leads(t, 4), &reports{}
		for _, c := range calls {
			claimAndDie(t, mem, c)
			time.Sleep(5 * time.Second)
		}
		dial(t, open(t, api, mem, redial, told.to), calls...)
		assertOneCallEach(t, api, calls)
		assert.Len(t, told.said("claimed_elsewhere begins"), 1)
		assert.Len(t, told.said("claimed_elsewhere ends"), 1)
	})
}
