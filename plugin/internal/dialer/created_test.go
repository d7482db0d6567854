package dialer

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

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

func TestAHeldCallSaysWhy(t *testing.T) {
	for want, tt := range map[string]struct {
		post answer
		list error
		busy bool
	}{
		"held: unknown: the call may have been placed, and 20s later the API did not list it; it is not dialed again":     {post: answer{creates: none, err: lost}},
		"held: unknown: the call may have been placed, and the API could not be asked within 30s; it is not dialed again": {post: answer{creates: none, err: lost}, list: status(503)},
		"held: unknown: another process may have placed the call; it is not dialed again":                                 {busy: true},
	} {
		t.Run(want, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem, one := ledger.NewMemory(), lead(t, 1)
				if tt.busy {
					claimAndDie(t, mem, one)
				}
				api := &fakeAPI{onPost: first(tt.post), onList: func(int) error { return tt.list }}
				d := open(t, api, mem, func(o *Options) { o.MaxElapsedTime = 30 * time.Second })
				assert.EqualError(t, dial(t, d, one)[0].Err, want)
			})
		})
	}
}

// A replica that dials the same lead is not worth a word, one that died is.
func TestWaitingForAnotherProcessIsReportedWhenItTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, calls, told := ledger.NewMemory(), leads(t, 2), &reports{}
		claimAndDie(t, mem, calls[0])
		time.Sleep(time.Minute)
		claimAndDie(t, mem, calls[1])
		dial(t, open(t, &fakeAPI{}, mem, redial, told.to, func(o *Options) { o.MaxCallsPerRequest = 1 }), calls...)
		assert.Len(t, told.said("claimed_elsewhere begins: another process may be dialing the same calls"), 1)
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
