package dialer

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// oldRecord is a record as the version before reads and writes it. It does not know the
// other members.
type oldRecord struct {
	Version     int       `json:"v"`
	State       string    `json:"state"`
	Token       string    `json:"owner"`
	Fingerprint string    `json:"fingerprint,omitempty"`
	At          time.Time `json:"at"`
	CallID      string    `json:"call_id,omitempty"`
}

// oldReplica dials as the version before did with `redial_absent`: a claim was stale by its
// date, a doubt was looked up by the key, and the list alone decided what was sent again.
type oldReplica struct {
	t   *testing.T
	api API
	mem store.Store
}

func (o *oldReplica) put(key string, r oldRecord, add bool) bool {
	ttl, write := window, o.mem.Set
	if add {
		write = o.mem.Add
	}
	value, err := json.Marshal(r)
	require.NoError(o.t, err)
	return write(o.t.Context(), key, value, &ttl) == nil
}

func oldKey(c Call, attempt int) string {
	if attempt == 1 {
		return c.Key
	}
	return fmt.Sprintf("%s/%d", c.Key, attempt)
}

// dial brings one call to its end, and returns its id.
func (o *oldReplica) dial(c Call) string {
	for n := 0; ; n++ {
		claim := oldRecord{Version: 1, State: "claimed", Token: fmt.Sprintf("OLD-%s%d", c.Key, n), Fingerprint: c.Fingerprint, At: time.Now()}
		if o.put(c.Key, claim, true) {
			if id := o.send(c, 1, claim); id != "" {
				return id
			}
			continue
		}
		attempt, unresolved := 0, false
		var since time.Time
		var newest oldRecord
		for {
			stored, err := o.mem.Get(o.t.Context(), oldKey(c, attempt+1))
			if err != nil {
				break
			}
			attempt++
			newest = oldRecord{}
			require.NoError(o.t, json.Unmarshal(stored, &newest), "the version before can read it")
			switch newest.State {
			case "called":
				return newest.CallID
			case "claimed", "held":
				if !unresolved {
					since = newest.At
				}
				unresolved = true
			}
		}
		switch {
		case attempt == 0:
			continue
		case newest.State == "claimed" && time.Since(newest.At) < timeout+settle+time.Minute:
			time.Sleep(mostPatience)
			continue
		case unresolved:
			if id := o.lookUp(c, since, newest.At.Add(timeout+settle)); id != "" {
				claim.At = time.Now()
				if o.put(oldKey(c, attempt+1), claim, true) {
					o.complete(c, attempt+1, claim, id)
					return id
				}
				continue
			}
		}
		claim.At = time.Now()
		if o.put(oldKey(c, attempt+1), claim, true) {
			if id := o.send(c, attempt+1, claim); id != "" {
				return id
			}
		}
	}
}

func (o *oldReplica) send(c Call, attempt int, claim oldRecord) string {
	began := time.Now()
	ctx, cancel := context.WithTimeout(o.t.Context(), timeout)
	placed, err := o.api.Place(ctx, []*Call{&c})
	cancel()
	if err == nil && len(placed) == 1 {
		o.complete(c, attempt, claim, placed[0].ID)
		return placed[0].ID
	}
	if id := o.lookUp(c, began, time.Now().Add(settle)); id != "" {
		o.complete(c, attempt, claim, id)
		return id
	}
	claim.State = "held"
	o.put(oldKey(c, attempt), claim, false)
	return ""
}

func (o *oldReplica) complete(c Call, attempt int, claim oldRecord, id string) {
	claim.State, claim.CallID = "called", id
	o.put(oldKey(c, attempt), claim, false)
	o.put(c.Key, claim, false)
}

func (o *oldReplica) lookUp(c Call, since, settled time.Time) string {
	for {
		began := time.Now()
		for call := range o.api.List(o.t.Context(), Listing{From: func(time.Time) time.Time { return since.Add(-2 * time.Minute) }}) {
			if call.Ref == c.Key {
				return call.ID
			}
		}
		if !began.Before(settled) {
			return ""
		}
		time.Sleep(min(time.Until(settled), 5*time.Second) + 1)
	}
}

// In a rolling upgrade replicas of both versions are given the leads that a third left
// claimed, some of which it had called.
func TestAnOldAndANewReplicaContendForStaleClaims(t *testing.T) {
	claims := 1000
	if testing.Short() {
		claims = 200
	}
	for seed := range uint64(2) {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			rng := rand.New(rand.NewPCG(seed, 7))
			api, mem, calls := &fakeAPI{}, ledger.NewMemory(), leads(t, claims)
			for i, c := range calls {
				old := oldRecord{Version: 1, State: "claimed", Token: fmt.Sprint("DEAD-", i), Fingerprint: c.Fingerprint, At: time.Now().Add(upTo(rng, 2*time.Minute) - time.Minute)}
				(&oldReplica{t, api, mem}).put(c.Key, old, true)
				if i%3 == 0 {
					api.create([]*Call{&c}, answer{listedIn: upTo(rng, settle)})
				}
			}
			before := len(api.placed)
			api.onPost = func(int, []*Call) answer {
				mu.Lock()
				defer mu.Unlock()
				if rng.IntN(3) > 0 {
					return answer{takes: upTo(rng, 5*time.Second)}
				}
				return bad(rng)
			}
			old := &oldReplica{t, api, mem}
			byOld, byNew := make([]string, claims), make([][]Result, 2)
			var all sync.WaitGroup
			for i := range calls {
				all.Go(func() { byOld[i] = old.dial(calls[i]) })
			}
			for i := range byNew {
				d := open(t, api, startProcess(mem, fmt.Sprint("NEW", i), 0), redial, func(o *Options) { o.MaxRedials = 1000 })
				parts := 20
				byNew[i] = make([]Result, claims)
				for p := range parts {
					from, to := claims*p/parts, claims*(p+1)/parts
					all.Go(func() { copy(byNew[i][from:to], dial(t, d, calls[from:to]...)) })
				}
			}
			all.Wait()
			require.Equal(t, claims, len(api.placed), "each is called once") //nolint:testifylint // they are too many to print
			assertOneCallEach(t, api, calls)
			assert.Less(t, before, claims/2)
			accepted := 0
			for i, c := range calls {
				id := api.idsOf(c)[0]
				assert.Equal(t, id, byOld[i])
				for _, results := range byNew {
					assert.Equal(t, id, results[i].CallID)
					if results[i].Outcome == Accepted {
						accepted++
					}
				}
			}
			t.Logf("seed %d: of %d claims the new replicas decided %d, the old one the others", seed, claims, accepted)
			assert.Greater(t, accepted, claims/10, "else nobody contended")
			assert.Less(t, accepted, claims*9/10, "else nobody contended")
		})
	}
}
