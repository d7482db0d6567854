package dialer

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// instantAPI accepts all calls at once.
type instantAPI struct{}

func (instantAPI) Place(_ context.Context, calls []*Call) ([]PlacedCall, error) {
	reply := make([]PlacedCall, len(calls))
	for i, c := range calls {
		reply[i] = PlacedCall{ID: c.Ref, Ref: c.Ref, Number: c.Number}
	}
	return reply, nil
}

func (instantAPI) List(context.Context, Listing) iter.Seq2[PlacedCall, error] {
	return func(func(PlacedCall, error) bool) {}
}

// BenchmarkDial is what the dialer and a ledger in memory cost, a batch of 20 leads an
// operation.
func BenchmarkDial(b *testing.B) {
	b.Run("no guards", func(b *testing.B) { benchmarkDial(b, Options{}) })
	b.Run("a guard that allows all", func(b *testing.B) { benchmarkDial(b, Options{Guards: []Guard{allowAll{}}}) })
}

type allowAll struct{}

func (allowAll) Check(time.Time, *Call) Verdict                                 { return Verdict{} }
func (allowAll) LookUp(context.Context, time.Time, []*Call) ([]Verdict, error)  { return nil, nil }
func (allowAll) Reserve(context.Context, time.Time, []*Call) ([]Verdict, error) { return nil, nil }
func (allowAll) Commit(context.Context, []*Call)                                {}
func (allowAll) Release(context.Context, []*Call)                               {}

func benchmarkDial(b *testing.B, opts Options) {
	const batch = 20
	calls := make([]Call, b.N*batch)
	for i := range calls {
		calls[i] = newCall(fmt.Sprintf("lead-%d", i), fmt.Sprintf("+1202%07d", i))
	}
	l, err := ledger.New(ledger.NewMemory(), ledger.Options{Window: window, Lease: timeout + settle, InitialInterval: time.Second, MaxInterval: time.Second})
	require.NoError(b, err)
	opts.Timeout, opts.Settle, opts.Window, opts.OnUnknown, opts.MaxCallsPerRequest = timeout, settle, window, Hold, batch
	opts.InitialInterval, opts.MaxInterval = time.Second, time.Second
	d := New(instantAPI{}, l, opts)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if _, err := d.Dial(b.Context(), calls[i*batch:(i+1)*batch]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/lead")
}
