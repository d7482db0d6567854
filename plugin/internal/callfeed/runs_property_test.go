package callfeed_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	simulated "github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// Whatever the order in which runs arrive, show up, wait in line, end, are canceled and are
// acknowledged, however the API pages, and however often the process is killed: every run
// that ended is delivered, and none again once its acknowledgement returned.
func TestEveryFinishedRunIsDeliveredAndNoneAgain(t *testing.T) {
	for seed := range seeds(t) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newRunTrial(t, seed).run() })
		})
	}
}

// Ways in which the API pages, besides as it is asked to.
const (
	capsAndTells = iota + 1 // smaller pages, and says so
	capsInSilence
	refusesLarge
	tellsNothing  // pages as it is asked to, without a word on what follows
	capsAndEchoes // smaller pages, and says that they are as it is asked to
	hidesSome     // cuts runs out of its pages
	pagingForms
)

// runTrial is one random history of runs.
type runTrial struct {
	t    *testing.T
	rng  *rand.Rand // only the main goroutine's
	sim  *simulated.Sim
	disk *disk
	log  *logbook
	opts callfeed.Options
	list *moodyRuns

	calm bool // the pipeline neither stalls nor refuses
	busy atomic.Bool

	mu       sync.Mutex
	sent     map[string]bool // whose acknowledgement was called: the message is delivered
	acked    map[string]bool // whose acknowledgement returned
	nacked   map[string]bool // in this run of the process
	handed   map[string]int  // likewise
	problems []string
}

// moodyRuns is an API that pages in its own way, lists newest first, and starts runs
// between two pages.
type moodyRuns struct {
	*platform.Client
	trial       *runTrial
	rng         *rand.Rand
	form        int
	most        int
	newestFirst bool
}

func (m *moodyRuns) ListRunsPage(ctx context.Context, workflow string, q platform.RunQuery) (platform.Page[platform.Run], error) {
	asked := q.PageSize
	if m.newestFirst {
		q.Sort = platform.Descending
	}
	switch {
	case m.form == refusesLarge && q.PageSize > m.most:
		return platform.Page[platform.Run]{}, &happyrobot.Error{Op: "listRuns", Status: http.StatusUnprocessableEntity, Err: errors.New("page_size")}
	case m.form == capsAndTells || m.form == capsInSilence || m.form == capsAndEchoes:
		q.PageSize = min(q.PageSize, m.most)
	}
	page, err := m.Client.ListRunsPage(ctx, workflow, q)
	if m.form == capsAndEchoes && page.Size > 0 {
		page.Size = asked
	}
	page.Items = slices.DeleteFunc(page.Items, func(r platform.Run) bool { return m.hides(r.ID) })
	if m.form == capsInSilence || m.form == tellsNothing {
		page.Pagination = platform.Pagination{Records: -1}
	}
	if m.trial.busy.Load() && m.rng.IntN(10) == 0 {
		m.trial.arrive(m.rng, 1+m.rng.IntN(3))
	}
	return page, err
}

// hides says whether a run is cut out of pages.
func (m *moodyRuns) hides(id string) bool {
	sum := fnv.New32a()
	_, _ = sum.Write([]byte(id))
	return m.form == hidesSome && sum.Sum32()%3 == 0
}

func newRunTrial(t *testing.T, seed uint64) *runTrial {
	rng := rand.New(rand.NewPCG(seed, 11))
	tr := &runTrial{
		t: t, rng: rng, log: &logbook{}, acked: map[string]bool{}, sent: map[string]bool{},
		sim: simulated.New(simulated.Options{
			Seed: seed + 1, Speed: 1, Latency: time.Duration(rng.IntN(300)) * time.Millisecond, Concurrent: []int{-1, 3, 100}[rng.IntN(3)],
			Visibility:        time.Duration(1 + rng.Int64N(int64(4*time.Minute))),
			CreatedResolution: []time.Duration{0, time.Second}[rng.IntN(2)],
			Workflows:         []simulated.Workflow{{Slug: "calls", Environments: []string{simulated.Production, simulated.Staging}}},
		}),
		disk: &disk{slow: time.Duration(rng.IntN(300)) * time.Millisecond},
	}
	client, err := platform.New(platform.Options{Options: happyrobot.Options{
		APIKey: "k", BaseURL: "http://127.0.0.1/api/v2", Transport: inMemory{tr.sim},
		Retry: happyrobot.Retry{InitialInterval: 100 * time.Millisecond, MaxElapsedTime: 5 * time.Second},
	}})
	require.NoError(t, err)
	tr.list = &moodyRuns{Client: client, trial: tr, rng: rand.New(rand.NewPCG(seed, 13)), form: int(seed) % pagingForms, most: []int{20, 37, 100}[rng.IntN(3)], newestFirst: rng.IntN(8) == 0}
	if tr.list.form == refusesLarge {
		tr.list.most = 100 // no less than the first page asks for
	}
	tr.opts = options(nil, tr.disk, tr.log)
	tr.opts.Unit, tr.opts.Relist = callfeed.RunUnit, []int{0, 20, 500}[rng.IntN(3)]
	tr.opts.PageSize = []int{20, 33, 100}[rng.IntN(3)]
	tr.opts.Start, tr.opts.Poll = time.Now(), time.Duration(15+rng.IntN(100))*time.Second
	return tr
}

func (tr *runTrial) run() {
	for range 3 + tr.rng.IntN(3) {
		tr.life(time.Duration(1+tr.rng.IntN(150)) * time.Minute)
	}
	// The last process lives until nothing can be missing any more.
	tr.sim.ClearFaults()
	tr.calm = true
	stop := tr.start()
	time.Sleep(8 * time.Hour)
	stop(false)
	tr.sim.Close()

	missing, ended := 0, 0
	for _, r := range tr.sim.Runs() {
		if r.Environment != simulated.Production {
			assert.False(tr.t, tr.sent[r.ID], "nobody wants runs of %s", r.Environment)
			continue
		}
		if !r.Over || tr.list.hides(r.ID) {
			continue
		}
		ended++
		if !tr.sent[r.ID] {
			missing++
			tr.t.Logf("lost: %s, created %s, now %s", r.ID, r.Created, r.Status)
		}
	}
	assert.Zero(tr.t, missing, "of %d runs", ended)
	assert.Greater(tr.t, ended, 100)
	assert.Empty(tr.t, tr.problems)
	if tr.t.Failed() {
		tr.t.Log(tr.log.all())
	}
}

// arrive makes runs with a chosen fate arrive, some of them elsewhere.
func (tr *runTrial) arrive(rng *rand.Rand, n int) {
	a := simulated.Arrival{Count: n, Fate: simulated.Fate{Talk: simulated.Duration(rng.Int64N(int64(3 * time.Hour)))}}
	if rng.IntN(5) == 0 {
		a.Environment = simulated.Staging
	}
	if rng.IntN(3) == 0 {
		a.Sessions = []string{"missed", "busy", "completed"}
	}
	if _, err := tr.sim.Arrive(a); err != nil {
		tr.t.Error(err)
	}
}

// trigger starts runs that wait in line, and cancels one of them at times.
func (tr *runTrial) trigger(n int) {
	for range n {
		tr.ask("/workflows/calls/runs", `{"payload":{"phone_number":"+14155550100"},"environment":"production"}`)
	}
	if runs := tr.sim.Runs(); tr.rng.IntN(2) == 0 && len(runs) > 0 {
		tr.ask("/runs/"+runs[len(runs)-1].ID+"/cancel", "")
	}
}

// ask makes a request of somebody else's, whatever it is answered.
func (tr *runTrial) ask(path, body string) {
	req := httptest.NewRequest(http.MethodPost, "/api/v2"+path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer k")
	req.Header.Set("Content-Type", "application/json")
	tr.sim.ServeHTTP(httptest.NewRecorder(), req)
}

// life is one process: runs arrive in every way, until it is killed or ends.
func (tr *runTrial) life(length time.Duration) {
	stop := tr.start()
	tr.busy.Store(true)
	defer tr.busy.Store(false)
	tr.sim.ClearFaults()
	tr.arrive(tr.rng, 1+tr.rng.IntN(250))
	for end := time.Now().Add(length); time.Now().Before(end); {
		tr.sim.ClearFaults()
		tr.arrive(tr.rng, 1+tr.rng.IntN(12))
		tr.trigger(tr.rng.IntN(6))
		if tr.rng.IntN(4) == 0 { // reads fail now and then
			tr.sim.Inject(simulated.Fault{Kind: simulated.ErrorAfter, Operation: "*", Times: 1 + tr.rng.IntN(12)})
		}
		time.Sleep(time.Duration(tr.rng.Int64N(int64(6 * time.Minute))))
	}
	stop(tr.rng.IntN(3) > 0)
}

// start begins a process with a pipeline that acknowledges in any order, after a while,
// refuses some, and stalls now and then. What is returned ends it.
func (tr *runTrial) start() func(kill bool) {
	tr.nacked, tr.handed = map[string]bool{}, map[string]int{}
	tr.opts.Store = tr.disk
	tr.opts.API = &callfeed.Runs{API: tr.list, Workflow: "calls", Environments: []platform.Environment{platform.Production}}
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

func (tr *runTrial) consume(ctx context.Context, pipeline *sync.WaitGroup, feed *callfeed.Feed, seed uint64) {
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
func (tr *runTrial) note(e *callfeed.Event) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	id := e.Item.ID
	if tr.acked[id] {
		tr.problems = append(tr.problems, "delivered again after its acknowledgement: "+id)
	}
	if tr.handed[id]++; tr.handed[id] > 1 && !tr.nacked[id] {
		tr.problems = append(tr.problems, "handed out twice in one run: "+id)
	}
	if !e.Item.Over {
		tr.problems = append(tr.problems, "not over: "+id)
	}
	delete(tr.nacked, id)
}

func (tr *runTrial) ack(ctx context.Context, e *callfeed.Event, nack bool) {
	id := e.Item.ID
	tr.mu.Lock()
	if nack {
		tr.nacked[id] = true
	} else {
		tr.sent[id] = true
	}
	tr.mu.Unlock()
	if nack {
		_ = e.Ack(ctx, errors.New("the output refuses it"))
		return
	}
	if e.Ack(ctx, nil) == nil {
		tr.mu.Lock()
		tr.acked[id] = true
		tr.mu.Unlock()
	}
}
