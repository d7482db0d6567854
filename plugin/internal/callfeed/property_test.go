package callfeed_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// Whatever the order in which calls arrive, appear, end, vanish and are
// acknowledged, and however often the process is killed: every call that ended is
// delivered, and none again once its acknowledgement returned.
func TestEveryFinishedCallIsDeliveredAndNoneAgain(t *testing.T) {
	for seed := range seeds(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newTrial(t, seed).run() })
		})
	}
}

// histories is how many are tried, unless FEED_SEEDS says it; in the fast lane a quarter.
const histories = 8

func seeds(t *testing.T) uint64 {
	few := strconv.Itoa(histories)
	if testing.Short() {
		few = strconv.Itoa(histories / 4)
	}
	n, err := strconv.ParseUint(cmp.Or(os.Getenv("FEED_SEEDS"), few), 10, 64)
	require.NoError(t, err, "FEED_SEEDS")
	return n
}

// trial is one random history.
type trial struct {
	t    *testing.T
	rng  *rand.Rand // only the main goroutine's
	sim  *callsim.Sim
	disk *disk
	log  *logbook
	opts callfeed.Options
	list *moody

	calm bool // the pipeline neither stalls nor refuses

	busy     atomic.Bool // calls come and go
	mu       sync.Mutex
	sent     map[string]bool // whose acknowledgement was called: the message is delivered
	acked    map[string]bool // whose acknowledgement returned
	deleted  map[string]bool
	nacked   map[string]bool // in this run
	handed   map[string]int  // in this run
	problems []string
}

func newTrial(t *testing.T, seed uint64) *trial {
	rng := rand.New(rand.NewPCG(seed, 1))
	tr := &trial{
		t: t, rng: rng, log: &logbook{},
		sim: callsim.New(callsim.Options{
			Seed: seed + 1, Speed: 1, MaxBatch: -1, Latency: time.Duration(rng.IntN(400)) * time.Millisecond,
			CreatedResolution: []time.Duration{0, time.Second}[rng.IntN(2)],
		}),
		disk:  &disk{slow: time.Duration(rng.IntN(300)) * time.Millisecond},
		acked: map[string]bool{}, sent: map[string]bool{}, deleted: map[string]bool{},
	}
	tr.list = &moody{CallsAPI: clientOf(t, tr.sim), trial: tr, rng: rand.New(rand.NewPCG(seed, 3)), most: []int{0, 0, 7, 100}[rng.IntN(4)], newestFirst: rng.IntN(6) == 0}
	tr.opts = options(tr.list, tr.disk, tr.log)
	tr.opts.PageSize = []int{1, 2, 3, 10, 100}[rng.IntN(5)]
	tr.opts.Start, tr.opts.Poll = time.Now(), time.Duration(15+rng.IntN(100))*time.Second
	return tr
}

func (tr *trial) run() {
	for range 3 + tr.rng.IntN(4) {
		tr.life(time.Duration(1+tr.rng.IntN(180)) * time.Minute)
	}
	// The last process lives until nothing can be missing any more.
	tr.sim.ClearFaults()
	tr.calm = true
	stop := tr.start()
	time.Sleep(4 * time.Hour)
	stop(false)
	tr.sim.Close()

	missing := 0
	for _, c := range tr.sim.Calls() {
		if !tr.sent[c.ID] && !tr.deleted[c.ID] {
			missing++
			tr.t.Logf("lost: %s, created %s, now %s", c.ID, c.Created, c.Status)
		}
	}
	assert.Zero(tr.t, missing, "of %d calls", len(tr.sim.Calls()))
	assert.Empty(tr.t, tr.problems)
	if tr.t.Failed() {
		tr.t.Log(tr.log.all())
	}
}

// moody is an API that gives fewer calls on a page than asked for, lists in an order that
// nobody asked for, and deletes calls and places others between two pages.
type moody struct {
	callfeed.CallsAPI
	trial       *trial
	rng         *rand.Rand
	most        int // calls on a page; 0 for as many as asked for
	newestFirst bool
}

func (m *moody) ListCallsPage(ctx context.Context, q happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	if m.most > 0 {
		q.Limit = min(q.Limit, m.most)
	}
	if q.Limit > 3 && m.rng.IntN(8) == 0 {
		q.Limit = 3 + m.rng.IntN(q.Limit-3)
	}
	if m.newestFirst {
		q.Sort = "desc"
	}
	page, err := m.CallsAPI.ListCallsPage(ctx, q)
	if m.trial.busy.Load() && m.rng.IntN(10) == 0 {
		if _, err := m.trial.sim.Arrive(callsim.Arrival{Count: 1 + m.rng.IntN(3)}); err != nil {
			m.trial.t.Error(err)
		}
	}
	if m.trial.busy.Load() && len(page) > 0 && m.rng.IntN(10) == 0 {
		id := page[m.rng.IntN(len(page))].ID
		m.trial.mu.Lock()
		again := m.trial.deleted[id]
		m.trial.deleted[id] = true
		m.trial.mu.Unlock()
		if !again {
			// A fault may stand in the way; then the call is there, and need not come.
			m.trial.sim.ServeHTTP(httptest.NewRecorder(), removal(id))
		}
	}
	return page, err
}

// life is one process: calls arrive, some late in lists, some for later, some are
// deleted, until it is killed or ends. Once the dialer is at work.
func (tr *trial) life(length time.Duration) {
	stop := tr.start()
	tr.busy.Store(true)
	defer tr.busy.Store(false)
	tr.sim.ClearFaults()
	density := densities[tr.rng.IntN(len(densities))]
	ids := dial(tr.t, tr.sim, min(3*density, 300), time.Time{})
	if tr.rng.IntN(2) == 0 {
		ids = append(ids, dial(tr.t, tr.sim, density/2+1, time.Now().Add(time.Duration(tr.rng.Int64N(int64(3*time.Hour)))))...)
	}
	for end := time.Now().Add(length); time.Now().Before(end); {
		tr.sim.ClearFaults()
		if tr.rng.IntN(3) == 0 {
			hidden := time.Duration(tr.rng.Int64N(int64(tr.opts.Lag)))
			tr.sim.Inject(callsim.Fault{Kind: callsim.Hide, Delay: callsim.Duration(hidden), Times: 1})
		}
		var due time.Time
		if tr.rng.IntN(4) == 0 {
			due = time.Now().Add(time.Duration(tr.rng.Int64N(int64(2 * time.Hour))))
		}
		ids = append(ids, dial(tr.t, tr.sim, 1+tr.rng.IntN(12), due)...)
		if tr.rng.IntN(4) == 0 { // reads fail now and then
			tr.sim.Inject(callsim.Fault{Kind: callsim.ErrorAfter, Operation: "*", Times: 1 + tr.rng.IntN(12)})
		}
		if tr.rng.IntN(3) == 0 {
			id := ids[tr.rng.IntN(len(ids))]
			tr.mu.Lock()
			again := tr.deleted[id]
			tr.deleted[id] = true
			tr.mu.Unlock()
			if !again {
				tr.sim.ClearFaults()
				remove(tr.t, tr.sim, id)
			}
		}
		time.Sleep(time.Duration(tr.rng.Int64N(int64(6 * time.Minute))))
	}
	stop(tr.rng.IntN(3) > 0)
}

// start begins a process with a pipeline that acknowledges in any order, after a
// while, refuses some, and stalls now and then. What is returned ends it.
func (tr *trial) start() func(kill bool) {
	tr.nacked, tr.handed = map[string]bool{}, map[string]int{}
	tr.opts.Store = tr.disk
	feed, err := callfeed.Open(tr.t.Context(), tr.opts)
	require.NoError(tr.t, err)
	ctx, cancel := context.WithCancel(tr.t.Context())
	seed := tr.rng.Uint64()
	var pipeline sync.WaitGroup
	pipeline.Go(func() { tr.consume(ctx, &pipeline, feed, seed) })
	return func(kill bool) {
		old := tr.disk
		if kill {
			tr.mu.Lock()
			tr.disk = old.kill()
			tr.mu.Unlock()
		}
		cancel()
		if err := feed.Close(context.Background()); !kill {
			assert.NoError(tr.t, err)
		}
		pipeline.Wait()
	}
}

func (tr *trial) consume(ctx context.Context, pipeline *sync.WaitGroup, feed *callfeed.Feed, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	for {
		e, err := feed.Next(ctx)
		if err != nil {
			return
		}
		tr.note(e)
		wait, nack := time.Duration(rng.Int64N(int64(time.Minute))), !tr.calm && rng.IntN(20) == 0
		pipeline.Go(func() {
			sleep(ctx, wait)
			if ctx.Err() != nil {
				_ = e.Ack(ctx, ctx.Err())
				return
			}
			tr.ack(ctx, e, nack)
		})
		if !tr.calm && rng.IntN(50) == 0 {
			sleep(ctx, time.Duration(rng.Int64N(int64(40*time.Minute))))
		}
	}
}

// note holds an event to what was promised.
func (tr *trial) note(e *callfeed.Event) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	id := e.Item.ID
	if tr.acked[id] {
		tr.problems = append(tr.problems, "delivered again after its acknowledgement: "+id)
	}
	if tr.handed[id]++; tr.handed[id] > 1 && !tr.nacked[id] {
		tr.problems = append(tr.problems, "handed out twice in one run: "+id)
	}
	if !e.Item.Status.Final() {
		tr.problems = append(tr.problems, "not over: "+id)
	}
	delete(tr.nacked, id)
}

func (tr *trial) ack(ctx context.Context, e *callfeed.Event, nack bool) {
	if nack {
		tr.mu.Lock()
		tr.nacked[e.Item.ID] = true
		tr.mu.Unlock()
		_ = e.Ack(ctx, errors.New("the output refuses it"))
		return
	}
	tr.mu.Lock()
	tr.sent[e.Item.ID] = true
	tr.mu.Unlock()
	if e.Ack(ctx, nil) == nil {
		tr.mu.Lock()
		tr.acked[e.Item.ID] = true
		tr.mu.Unlock()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
