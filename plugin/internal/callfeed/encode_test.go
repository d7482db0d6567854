package callfeed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is saved is what every version so far reads, member for member.
func TestASnapshotIsTheStateAsItWasAlwaysWritten(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123).UTC()
	b := newBook(rules{}, at)
	for i, id := range []string{"64f0c0de00000000000000c1", `with "quotes" and \`, "ünïcode\n", "<&>", ""} {
		b.open[id] = &openCall{key: id, created: at, since: at.Add(time.Duration(i) * time.Hour)}
		b.done["done "+id] = doneCall{created: at.Add(time.Duration(i) * time.Second)}
	}
	b.open["undated"] = &openCall{key: "undated", since: at, emitted: `In "progress"`, ended: at.Add(time.Minute)}
	b.done["undated"] = doneCall{}
	for range 2 {
		raw, changes := b.snapshot("OWNER")
		assert.Equal(t, b.changed(), changes)
		assert.True(t, bytes.HasPrefix(raw, []byte(`{"version":1,"owner":"OWNER",`)))
		var strict state
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&strict), "%s", raw)

		s, err := decodeState(raw)
		require.NoError(t, err)
		read := bookFrom(rules{}, s)
		assert.Equal(t, b.from, read.from)
		assert.Len(t, read.done, len(b.done))
		for id, d := range b.done {
			assert.True(t, d.created.Equal(read.done[id].created), id)
		}
		require.Len(t, read.open, len(b.open))
		for id, c := range b.open {
			r := read.open[id]
			require.NotNil(t, r, id)
			assert.Equal(t, []any{c.created, c.since, c.emitted, c.ended}, []any{r.created, r.since, r.emitted, r.ended}, id)
		}
		b = newBook(rules{}, at) // and an empty one
	}
}

// BenchmarkSnapshot is what each write costs beside a hundred thousand scheduled calls.
func BenchmarkSnapshot(b *testing.B) {
	book, at := newBook(rules{}, time.Now()), time.Now()
	for n := range MaxWatched {
		key := fmt.Sprintf("%024d", n)
		book.open[key] = &openCall{key: key, created: at, since: at.Add(time.Hour)}
	}
	for b.Loop() {
		raw, _ := book.snapshot("OWNER")
		b.ReportMetric(float64(len(raw)), "bytes")
	}
}
