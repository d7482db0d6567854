package ledger

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsKnownOfADoubtIsReadByTheNextProcess(t *testing.T) {
	for _, tt := range []struct {
		name  string
		found []Finding // of each attempt
		sent  []int     // that TakeOver is told of the attempts before
		want  Standing
	}{
		{"nothing", []Finding{{}}, nil, Standing{Attempt: 1, Sent: 1}},
		{"refused", []Finding{{Refused: true}}, nil, Standing{Attempt: 1, Sent: 1, Finding: Finding{Refused: true}}},
		{"shown", []Finding{{Shown: true}}, nil, Standing{Attempt: 1, Sent: 1, Finding: Finding{Shown: true}}},
		{"an outage", []Finding{{Uncounted: true}}, nil, Standing{Attempt: 1}},
		{"an outage after one that counts", []Finding{{}, {Uncounted: true}}, []int{1}, Standing{Attempt: 2, Sent: 1}},
		{"lost, then refused", []Finding{{}, {Refused: true}}, []int{1}, Standing{Attempt: 2, Sent: 2}},
		{"shown, then lost", []Finding{{Shown: true}, {}}, []int{1}, Standing{Attempt: 2, Sent: 2, Finding: Finding{Shown: true}}},
		{"two that do not count, and one that does", []Finding{{}, {}, {}}, []int{0, 0}, Standing{Attempt: 3, Sent: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := New(NewMemory(), Options{Window: time.Hour, Lease: time.Minute})
			require.NoError(t, err)
			claim, _, err := l.Claim(t.Context(), dialOf("ref"))
			require.NoError(t, err)
			for i, f := range tt.found {
				require.NoError(t, l.Hold(t.Context(), claim, f))
				if i < len(tt.sent) {
					doubt, err := l.Known(t.Context(), "ref")
					require.NoError(t, err)
					doubt.Sent = tt.sent[i]
					var won bool
					claim, won, err = l.TakeOver(t.Context(), dialOf("ref"), doubt)
					require.NoError(t, err)
					require.True(t, won)
				}
			}
			got, err := l.Known(t.Context(), "ref")
			require.NoError(t, err)
			got.Since, got.Last, got.Refs = time.Time{}, time.Time{}, nil
			tt.want.Kind, tt.want.Fingerprint = InDoubt, "print"
			got.Token = "" // it is random
			assert.Equal(t, tt.want, got)
		})
	}
}

// A version that does not count writes no count: each of its attempts is taken to count.
func TestAttemptsOfAnOlderVersionCount(t *testing.T) {
	m := NewMemory()
	l, err := New(m, Options{Window: time.Hour, Lease: time.Minute})
	require.NoError(t, err)
	for n := 1; n <= 3; n++ {
		old, err := json.Marshal(map[string]any{"v": 1, "state": "held", "owner": "x-1", "fingerprint": "print", "at": time.Now()})
		require.NoError(t, err)
		require.NoError(t, m.Set(t.Context(), key("ref", n), old, nil))
	}
	got, err := l.Known(t.Context(), "ref")
	require.NoError(t, err)
	assert.Equal(t, 3, got.Sent)
	next, won, err := l.TakeOver(t.Context(), dialOf("ref"), got)
	require.NoError(t, err)
	require.True(t, won)
	assert.Equal(t, 4, next.Sent())
}
