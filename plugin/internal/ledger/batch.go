package ledger

import (
	"context"
	"errors"
	"sync"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// Dial is what is to be claimed.
type Dial struct {
	Key         string // its name in the ledger
	Ref         string // the reference that the API is sent for it; "" is the key
	Fingerprint string // of its contents
}

// Claiming is what became of a Dial, as Claim answers it.
type Claiming struct {
	Claim    Claim
	Standing Standing
	Err      error
}

// ClaimAll is Claim for many dials.
func (l *Ledger) ClaimAll(ctx context.Context, dials []Dial) []Claiming {
	all := make([]Claiming, len(dials))
	for i, d := range dials {
		all[i].Claim = newClaim(d, 1)
	}
	var open []int // not known to be claimed
	errs := l.addAll(ctx, all)
	for i := range all {
		if errs == nil || errs[i] != nil {
			open = append(open, i)
			continue
		}
		all[i].Standing.Kind = Claimed
	}
	l.Each(len(open), func(n int) {
		c := &all[open[n]]
		exists := errs != nil && errors.Is(errs[open[n]], store.ErrExists)
		c.Claim, c.Standing, c.Err = l.claim(ctx, c.Claim, exists)
	})
	return all
}

// addAll adds the records of claims with one write, or answers nil where the store
// cannot. What failed is tried again one by one, with the same tokens, so that a
// record that was written all the same is recognized.
func (l *Ledger) addAll(ctx context.Context, all []Claiming) []error {
	if l.opts.Batch == nil || len(all) < 2 {
		return nil
	}
	items := make([]store.Item, len(all))
	for i, c := range all {
		items[i] = store.Item{Key: key(c.Claim.dial.Key, 1), Value: c.Claim.record(stateClaimed, "").encode(), TTL: &l.opts.Window}
	}
	return l.opts.Batch.AddAll(ctx, items)
}

// CompleteAll is Complete for many claims; callIDs[i] came of claims[i].
func (l *Ledger) CompleteAll(ctx context.Context, claims []Claim, callIDs []string) []error {
	errs := make([]error, len(claims))
	var alone []int
	var together []int
	var items []store.Item
	for i, c := range claims {
		if l.opts.Batch == nil || c.attempt > 1 {
			alone = append(alone, i)
			continue
		}
		together = append(together, i)
		items = append(items, store.Item{Key: key(c.dial.Key, 1), Value: c.record(stateCalled, callIDs[i]).encode(), TTL: &l.opts.Window})
	}
	if len(items) > 0 {
		var byItself bool
		err := l.until(ctx, func() error {
			err := l.opts.Batch.SetAll(ctx, items)
			if byItself = errors.Is(err, store.ErrAlone); byItself {
				return nil
			}
			return wrote(err)
		})
		if byItself {
			alone, together = append(alone, together...), nil
		}
		for _, i := range together {
			errs[i] = err
		}
	}
	l.Each(len(alone), func(n int) { errs[alone[n]] = l.Complete(ctx, claims[alone[n]], callIDs[alone[n]]) })
	return errs
}

// Each does something for each of n dials, side by side unless the store answers
// without waiting.
func (l *Ledger) Each(n int, do func(i int)) {
	if _, memory := l.store.(*Memory); memory || n == 1 {
		for i := range n {
			do(i)
		}
		return
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}
