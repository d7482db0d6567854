package ledger

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unreadable are records that this program does not fully understand.
var unreadable = map[string]string{
	"empty":         "",
	"null":          "null",
	"cut":           `{"v":1,"state":"called","owner":"elsewhere-1","at":"2026-0`,
	"newer version": `{"v":2,"state":"called","owner":"elsewhere-1","at":"2026-01-02T03:04:05Z","call_id":"call-1"}`,
	"no version":    `{"state":"called","owner":"elsewhere-1","at":"2026-01-02T03:04:05Z","call_id":"call-1"}`,
	"no call id":    `{"v":1,"state":"called","owner":"elsewhere-1","at":"2026-01-02T03:04:05Z"}`,
	"unknown state": `{"v":1,"state":"paused","owner":"elsewhere-1","at":"2026-01-02T03:04:05Z"}`,
	"no time":       `{"v":1,"state":"void","owner":"elsewhere-1"}`,
	"another shape": `["called"]`,
}

func TestARecordThatIsNotUnderstoodIsInDoubt(t *testing.T) {
	for name, record := range unreadable {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := NewMemory()
				put(t, mem, "ref", []byte(record))
				l := open(t, mem)
				_, standing := ask(t, l, "ref")
				assert.Equal(t, Standing{Kind: InDoubt, Attempt: 1, Sent: 1, Last: time.Now(), Unreadable: true}, standing, "no time and no print that could mislead")

				c, won, err := l.TakeOver(t.Context(), dialOf("ref"), standing)
				require.NoError(t, err)
				require.True(t, won)
				assert.Equal(t, 2, c.Attempt(), "the record itself stays as it is")
				kept, err := mem.Get(t.Context(), "ref")
				require.NoError(t, err)
				assert.Equal(t, record, string(kept))
			})
		})
	}
}

func TestAnUnreadableRecordLeavesTheHistoryWithoutATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		put(t, mem, "ref", nil)
		held := foreign(time.Now())
		held.State = stateHeld
		put(t, mem, "ref/2", held.encode())
		_, standing := ask(t, open(t, mem), "ref")
		assert.Equal(t, Standing{Kind: InDoubt, Refs: []string{"ref"}, Fingerprint: "print", Attempt: 2, Token: "elsewhere-1", Sent: 2, Last: time.Now(), Unreadable: true}, standing)
	})
}

func TestAnUnreadableFirstRecordDoesNotHideALaterCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		put(t, mem, "ref", nil)
		called := foreign(time.Now())
		called.State, called.CallID = stateCalled, "call-2"
		put(t, mem, "ref/2", called.encode())
		_, standing := ask(t, open(t, mem), "ref")
		assert.Equal(t, "call-2", standing.CallID)
		assert.Equal(t, "call-2", stored(t, mem, "ref").CallID, "the first record is healed")
	})
}

func TestTheFirstRecordLastsAsLongAsTheCallThatALaterAttemptBrought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		put(t, mem, "ref", foreign(time.Now()).encode())
		l := open(t, mem)
		time.Sleep(window / 2)
		_, standing := ask(t, l, "ref")
		c, won, err := l.TakeOver(t.Context(), dialOf("ref"), standing)
		require.NoError(t, err)
		require.True(t, won)
		require.NoError(t, l.Complete(t.Context(), c, "call-2"))
		assert.Equal(t, "call-2", stored(t, mem, "ref/2").CallID)

		time.Sleep(window - time.Minute)
		_, standing = ask(t, l, "ref")
		assert.Equal(t, "call-2", standing.CallID, "the first claim alone would be forgotten by now")
	})
}

func TestAFirstRecordThatAnotherProcessDidNotHealIsHealedOnSight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := NewMemory()
		put(t, mem, "ref", foreign(time.Now()).encode())
		time.Sleep(window / 2)
		called := foreign(time.Now())
		called.State, called.CallID = stateCalled, "call-2"
		put(t, mem, "ref/2", called.encode())

		_, standing := ask(t, open(t, mem), "ref")
		assert.Equal(t, "call-2", standing.CallID)
		time.Sleep(window - time.Minute)
		assert.Equal(t, "call-2", stored(t, mem, "ref").CallID)
	})
}

func TestARecordSurvivesItsEncoding(t *testing.T) {
	r := foreign(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	got, err := decodeRecord(r.encode())
	require.NoError(t, err)
	assert.Equal(t, r, got)
	assert.NotContains(t, string(r.encode()), "call_id", "a claim has no call")
}

func TestARecordIsTheJSONThatItsFieldsSay(t *testing.T) {
	at := time.Date(2026, 3, 10, 15, 30, 0, 120, time.FixedZone("", 3600))
	for _, r := range []record{
		{Version: 1, State: stateClaimed, Token: "ABC-1", Fingerprint: "00ff", At: at},
		{Version: 1, State: stateCalled, Token: "ABC-1", At: at.UTC(), CallID: "quoted \"\\\n\x00 é \xff"},
		{Version: 1, State: stateVoid, At: at},
	} {
		want, err := json.Marshal(r)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(r.encode()))
	}
}

// Whatever stands in the cache: a record is read as it was written or not at
// all, and a dial is claimed only when its whole history is certain that no call
// was placed.
func FuzzDecodeRecord(f *testing.F) {
	r := foreign(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	called, void, now := r, r, foreign(time.Now())
	called.State, called.CallID = stateCalled, "call-1"
	void.State = stateVoid
	readable := [][]byte{r.encode(), called.encode(), void.encode(), now.encode(), []byte(strings.Replace(string(r.encode()), "Z", "+23:59", 1))}
	for _, record := range unreadable {
		f.Add([]byte(record), []byte(nil))
		f.Add([]byte(record), called.encode())
		f.Add(void.encode(), []byte(record))
	}
	for _, first := range readable {
		f.Add(first, []byte(nil))
		for _, second := range readable {
			f.Add(first, second)
		}
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		history := [][]byte{first}
		if len(second) > 0 {
			history = append(history, second)
		}
		mem := NewMemory()
		var wantCall string
		certain := true // that no call was placed
		var newest record
		for n, b := range history {
			put(t, mem, key("ref", n+1), b)
			r, err := decodeRecord(b)
			if newest = r; err != nil {
				require.ErrorIs(t, err, errUnreadable)
				require.Zero(t, r)
				certain = false
				continue
			}
			requireSurvives(t, r)
			certain = certain && r.State == stateVoid
			if r.State == stateCalled && wantCall == "" {
				wantCall = r.CallID
			}
		}

		c, standing, err := open(t, mem).Claim(t.Context(), dialOf("ref"))

		require.NoError(t, err)
		switch {
		case wantCall != "":
			require.Equal(t, Called, standing.Kind)
			require.Equal(t, wantCall, standing.CallID)
		case certain:
			require.Equal(t, Claimed, standing.Kind)
			require.Equal(t, len(history)+1, c.Attempt())
		default:
			require.Contains(t, []Kind{Busy, InDoubt}, standing.Kind)
			require.True(t, standing.Kind == InDoubt || newest.State == stateClaimed, "nobody is at work")
			require.Equal(t, len(history), standing.Attempt)
		}
		last, err := mem.Get(t.Context(), key("ref", len(history)))
		require.NoError(t, err)
		if wantCall == "" {
			require.Equal(t, history[len(history)-1], last, "asking changes nothing")
		}
	})
}

// requireSurvives writes a record again, as healing does.
func requireSurvives(t *testing.T, r record) {
	t.Helper()
	require.False(t, r.At.IsZero())
	require.False(t, r.State == stateCalled && r.CallID == "", "a call has an id")
	require.Contains(t, []state{stateClaimed, stateCalled, stateHeld, stateVoid}, r.State)
	again, err := decodeRecord(r.encode())
	require.NoError(t, err)
	require.True(t, r.At.Equal(again.At))
	again.At = r.At
	require.Equal(t, r, again)
}
