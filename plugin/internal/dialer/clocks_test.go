package dialer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// process is a shared store as one process uses it, whose clock is ahead of the others'.
// The dates that it writes are by its clock; those that it reads are as far off for it as
// the clocks are apart. Once it is killed, nothing that it does arrives.
type process struct {
	store.Store
	name  string
	ahead time.Duration

	mu     sync.Mutex
	token  string // begins the tokens of this test's process
	killed bool
}

func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.killed = true
}

var errKilled = errors.New("killed")

// reword changes a record on its way to the store or back.
func (p *process) reword(value []byte, written bool) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.killed {
		return nil, errKilled
	}
	var r map[string]any
	if json.Unmarshal(value, &r) != nil {
		return value, nil
	}
	at, err := time.Parse(time.RFC3339Nano, r["at"].(string))
	if err != nil {
		return nil, err
	}
	who, n, _ := strings.Cut(r["owner"].(string), "-")
	shift := -p.ahead
	switch {
	case written:
		p.token, who, shift = who, p.name, p.ahead
	case who == p.name:
		who = p.token
	}
	r["owner"], r["at"] = who+"-"+n, at.Add(shift).Format(time.RFC3339Nano)
	return json.Marshal(r)
}

func (p *process) Get(ctx context.Context, key string) ([]byte, error) {
	value, err := p.Store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return p.reword(value, false)
}

func (p *process) Set(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	value, err := p.reword(value, true)
	if err != nil {
		return err
	}
	return p.Store.Set(ctx, key, value, ttl)
}

func (p *process) Add(ctx context.Context, key string, value []byte, ttl *time.Duration) error {
	value, err := p.reword(value, true)
	if err != nil {
		return err
	}
	return p.Store.Add(ctx, key, value, ttl)
}

func (p *process) Delete(ctx context.Context, key string) error {
	if _, err := p.reword(nil, true); err != nil {
		return err
	}
	return p.Store.Delete(ctx, key)
}

// startProcess is a process of its own on a shared store.
func startProcess(mem store.Store, name string, ahead time.Duration) *process {
	return &process{Store: mem, name: name, ahead: ahead}
}

// apart are the differences between two clocks that are tried.
var apart = []time.Duration{
	0, time.Second, -time.Second, 30 * time.Second, -30 * time.Second, 10 * time.Minute, -10 * time.Minute,
}

// The other process has claimed the lead, by a clock that is ahead or behind.
func TestACallOfAProcessWithAnotherClockIsPlacedOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		answer answer // of the other's request
		dies   bool   // and never says what came of it
		sees   time.Duration
	}{
		"it is at work":                          {answer: answer{takes: timeout - time.Second}, sees: time.Second},
		"it lost the answer":                     {answer: answer{err: lost, listedIn: settle - time.Second}, sees: time.Second},
		"it lost the answer, and nothing came":   {answer: answer{err: lost, creates: none}, sees: time.Second},
		"it died with the request under way":     {answer: answer{takes: timeout, listedIn: settle - timeout - time.Second}, dies: true, sees: time.Second},
		"it died long ago":                       {answer: answer{takes: timeout}, dies: true, sees: 40 * time.Minute},
		"it died long ago, and nothing came":     {answer: answer{takes: timeout, creates: none}, dies: true, sees: 40 * time.Minute},
		"it died before, and nothing came of it": {answer: answer{takes: timeout, creates: none}, dies: true, sees: time.Second},
	} {
		for _, ahead := range apart {
			t.Run(fmt.Sprintf("%s, clock %v ahead", name, ahead), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					mem, one, told := ledger.NewMemory(), lead(t, 1), &reports{}
					api := &fakeAPI{onPost: first(tt.answer)}
					other := startProcess(mem, "OTHER", ahead)
					ctx, cancel := bounded(t.Context())
					defer cancel()
					done := make(chan Result, 1)
					theirs := open(t, api, other, redial)
					go func() {
						results, _ := theirs.Dial(ctx, []Call{one})
						done <- results[0]
					}()
					time.Sleep(time.Second)
					if tt.dies {
						other.kill()
						cancel()
					}
					time.Sleep(tt.sees - time.Second)
					began := time.Now()
					r := dial(t, open(t, api, startProcess(mem, "OURS", 0), redial, told.to), one)[0]
					assert.Contains(t, []Outcome{Accepted, Duplicate}, r.Outcome)
					took := time.Since(began)
					if left := <-done; !tt.dies {
						assert.Equal(t, r.CallID, left.CallID)
					}
					assertOneCallEach(t, api, []Call{one})
					assert.Less(t, took, 2*(timeout+settle)+2*time.Minute, "it is not blocked")
					if took > timeout+settle+quietWait { // longer than one look-up
						assert.NotEmpty(t, told.said("claimed_elsewhere begins: another process (OTHER) claimed"), "nor in silence")
					}
				})
			})
		}
	}
}

// Hours later, a date that is still ahead does not say how far back the call is to be
// looked for.
func TestACallOfAClockThatIsFarAheadIsPlacedOnce(t *testing.T) {
	for _, dies := range []bool{true, false} {
		t.Run(fmt.Sprintf("dies %v", dies), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem, one := ledger.NewMemory(), lead(t, 1)
				api := &fakeAPI{onPost: first(answer{err: lost, takes: 2 * time.Second, listedIn: 2 * settle})}
				other := startProcess(mem, "OTHER", 48*time.Hour)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan struct{})
				go func() {
					defer close(done)
					_, _ = open(t, api, other).Dial(ctx, []Call{one})
				}()
				time.Sleep(time.Second)
				if dies {
					other.kill()
					cancel()
				}
				<-done
				time.Sleep(3 * time.Hour)
				api.create([]*Call{{Ref: "another"}}, answer{}) // which shows the API's clock
				r := dial(t, open(t, api, startProcess(mem, "OURS", 0), redial), one)[0]
				assert.Equal(t, Accepted, r.Outcome)
				assertOneCallEach(t, api, []Call{one})
			})
		})
	}
}

// Processes with clocks that differ are given the same leads, and are killed, while the
// API loses, delays and halves answers.
func TestClocksThatDifferDoubleNothing(t *testing.T) {
	seeds := uint64(12)
	if testing.Short() {
		seeds = 3
	}
	for _, ahead := range apart {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%v ahead, seed %d", ahead, seed), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var mu sync.Mutex
					rng := rand.New(rand.NewPCG(seed, 3))
					api, mem, calls := &fakeAPI{}, ledger.NewMemory(), leads(t, 12)
					api.onPost = func(int, []*Call) answer {
						mu.Lock()
						defer mu.Unlock()
						return bad(rng)
					}
					decided := make([][]Result, 2)
					var both sync.WaitGroup
					for i := range decided {
						own := rand.New(rand.NewPCG(seed, uint64(i)))
						both.Go(func() { decided[i] = killedAgainAndAgain(t, own, api, mem, i, time.Duration(i)*ahead, calls) })
					}
					both.Wait()
					assertNeverTwice(t, api, calls, decided, RedialAbsent)
				})
			})
		}
	}
}

// killedAgainAndAgain dials the leads with one process after another, most of which are
// killed, until each lead is decided.
func killedAgainAndAgain(t *testing.T, rng *rand.Rand, api API, mem store.Store, machine int, ahead time.Duration, calls []Call) []Result {
	said := make([]Result, len(calls))
	for began, n := time.Now(), 0; ; n++ {
		var todo []Call
		var origin []int
		for _, i := range rng.Perm(len(calls)) {
			if said[i].Outcome == "" {
				todo, origin = append(todo, calls[i]), append(origin, i)
			}
		}
		if len(todo) == 0 {
			return said
		}
		require.Less(t, time.Since(began), 12*time.Hour, "a call is never decided")
		p := startProcess(mem, fmt.Sprintf("M%dP%d", machine, n), ahead)
		d := open(t, api, p, redial, func(o *Options) { o.MaxCallsPerRequest, o.MaxRedials = 1+rng.IntN(8), 1000 })
		ctx, cancel := context.WithCancel(t.Context())
		killer := time.AfterFunc(upTo(rng, 10*time.Minute), func() { p.kill(); cancel() })
		results, _ := d.Dial(ctx, todo)
		killed := !killer.Stop()
		cancel()
		for j, r := range results {
			if !killed || rng.IntN(2) == 0 { // else the message was not acknowledged
				said[origin[j]] = r
			}
		}
	}
}
