package plugin

import (
	"testing"

	"github.com/Jeffail/gabs/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLookupsOfOtherOutputsShareNoEntry(t *testing.T) {
	key := func(include []string, outputs ...string) string {
		return (&runLookup{runParts{include: include, outputs: outputs}}).key("r")
	}
	both := []string{partSessions, partOutputs}
	assert.Equal(t, key(both, "a", "b"), key([]string{partOutputs, partRecordings, partSessions}, "b", "a", "a"), "in any order; recordings are not kept")
	seen := map[string][]string{}
	for _, outputs := range [][]string{{"a", "b"}, {"a+b"}, {"a/b"}, {"a.b"}, {"a"}, {"A"}, nil} {
		got := key(both, outputs...)
		assert.NotContains(t, seen, got, "%v", outputs)
		seen[got] = outputs
	}
	assert.NotEqual(t, key([]string{partSessions}), key([]string{partCredits}))
}

func TestAnEntryWithoutItsIDIsNotUsed(t *testing.T) {
	for entry, want := range map[string]bool{`{"id":"r","run_id":"r"}`: true, `{"run_id":"r"}`: false, `{"id":"","run_id":"r"}`: false, `{"id":null,"run_id":"r"}`: false, `{"id":"x","run_id":"r"}`: false} {
		found, err := gabs.ParseJSON([]byte(entry))
		require.NoError(t, err)
		assert.Equal(t, want, (&runLookup{}).usable(found, "r"), entry)
		assert.Equal(t, want, sessionLookup{}.usable(found, "r"), entry)
	}
}
