package faults

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// todayRow is a line of the platform's table: what goes wrong with triggers.
type todayRow struct {
	name    string
	faults  []platform.Fault // a request is struck by one of them at most
	always  []platform.Fault // how the API is, at every rate
	opts    platform.Options
	columns string // "" shows references at once
	cache   *cacheFault
	wire    bool
	brief   bool // the timeout
	hook    bool // runs are started through the URL of the trigger

	except side // makes no promise here
	why    string
}

// todayRows are all faults of the pretend platform, the ledger and the wire, alone and mixed.
func todayRows() []todayRow {
	fault := func(kind platform.Kind, status ...int) []platform.Fault {
		f := platform.Fault{Kind: kind}
		if len(status) > 0 {
			f.Status = status[0]
		}
		return []platform.Fault{f}
	}
	lag := func(d time.Duration) platform.Options { return platform.Options{Visibility: d} }
	alone := []todayRow{
		{name: "answer lost after starting", faults: fault(platform.LoseAnswer)},
		{name: "502 before starting", faults: fault(platform.ErrorBefore)},
		{name: "502 after starting", faults: fault(platform.ErrorAfter)},
		{name: "500 after starting", faults: fault(platform.ErrorAfter, http.StatusInternalServerError)},
		{name: "200 without an id", faults: fault(platform.NoID)},
		{name: "200 with two ids", faults: fault(platform.TwoIDs)},
		{name: "200, cut short as JSON", faults: fault(platform.NotJSON)},
		{name: "200, HTML of the wrong type", faults: fault(platform.WrongType)},
		{name: "401, the key refused", faults: fault(platform.Refuse, http.StatusUnauthorized)},
		{name: "403, what the key may do", faults: fault(platform.Refuse, http.StatusForbidden)},
		{name: "403, HTML of a firewall", faults: fault(platform.Firewall)},
		{name: "404, not live for a moment", faults: fault(platform.Refuse, http.StatusNotFound)},
		{name: "307 to a login page", faults: fault(platform.Redirect)},
		{name: "408", faults: fault(platform.Refuse, http.StatusRequestTimeout)},
		{name: "422", faults: fault(platform.Refuse)},
		{name: "429, Retry-After in seconds", faults: []platform.Fault{{Kind: platform.Refuse, Status: http.StatusTooManyRequests, RetryAfter: "1"}}},
		{name: "connection cut before the headers", wire: true},
		{name: "connection cut before the body", faults: fault(platform.CutBefore)},
		{name: "connection cut in the body", faults: fault(platform.CutInBody)},
		{name: "connection cut in the reply", faults: fault(platform.CutBody)},
		{name: "answer later than timeout", faults: []platform.Fault{{Kind: platform.Delay, Delay: platform.Duration(slow)}}, brief: true},
		{name: "ledger down before the claim", cache: &cacheFault{ops: []string{opAdd, opGet}}},
		{name: "ledger down after the run", cache: &cacheFault{ops: []string{opSet, opDelete}}},
	}
	unsteady := cacheFault{ops: []string{opGet, opAdd, opSet, opDelete}}
	mixed := todayRow{name: "all of these mixed", wire: true, brief: true, cache: &unsteady}
	for _, r := range alone {
		mixed.faults = append(mixed.faults, r.faults...)
	}
	bare := mixed
	bare.name, bare.columns, bare.cache = "all of these mixed, no column", platform.ColumnsNone, nil
	return append(alone,
		todayRow{name: "answer lost, listed late within settle", faults: fault(platform.LoseAnswer), opts: lag(soon)},
		todayRow{name: "answer lost, listed later than settle", faults: fault(platform.LoseAnswer), opts: lag(late), except: redialAbsent,
			why: "`redial_absent` trusts that a run which was started is listed within `settle`"},
		todayRow{name: "answer lost, no column", faults: fault(platform.LoseAnswer), columns: platform.ColumnsNone},
		todayRow{name: "answer lost, the column late", faults: fault(platform.LoseAnswer), columns: platform.ColumnsLate},
		todayRow{name: "answer lost, its clock an hour behind", faults: fault(platform.LoseAnswer), opts: platform.Options{ClockSkew: -time.Hour, Date: "wall"}},
		todayRow{name: "answer lost, lists and outputs fail", faults: fault(platform.LoseAnswer), columns: platform.ColumnsNone, always: []platform.Fault{
			{Kind: platform.ErrorBefore, Operation: "listRuns", Probability: 0.3}, {Kind: platform.CutBefore, Operation: "getRunOutput", Probability: 0.2}}},
		todayRow{name: "answer lost, runs may not be listed", faults: fault(platform.LoseAnswer), always: []platform.Fault{{Kind: platform.Refuse, Status: http.StatusForbidden, Operation: "listRuns"}}},
		todayRow{name: "hook: answer lost", faults: fault(platform.LoseAnswer), hook: true},
		mixed, bare)
}

func (r todayRow) promises(s side) bool { return r.except != s }

// todayRun is one row on one side at one rate.
type todayRun struct {
	row   todayRow
	side  side
	rate  float64
	leads int
	seed  uint64
	dir   string
	short bool
}

// do is run.do for the platform.
func (r todayRun) do() (t tally, err error) {
	rng := rand.New(rand.NewPCG(r.seed, 0))
	opts := r.row.opts
	opts.Seed, opts.Concurrent, opts.Speed = rng.Uint64(), -1, 10_000
	opts.Workflows = []platform.Workflow{{Slug: platform.DefaultWorkflow, Columns: r.row.columns}}
	var cut *wire
	if r.row.wire {
		cut = &wire{rate: r.rate, rng: rand.New(rand.NewPCG(r.seed, 1))}
	}
	api, err := serveToday(opts, cut)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, api.close()) }()
	for _, f := range r.row.always {
		api.today.Inject(f)
	}
	for i, f := range r.row.faults {
		certain := f
		certain.Times, certain.After = 1, spared+i
		api.today.Inject(certain)
		f.Probability = r.rate / float64(len(r.row.faults))
		api.today.Inject(f)
	}
	unsteady := &unsteady{rng: rand.New(rand.NewPCG(r.seed, 2))}
	if r.row.cache != nil {
		unsteady.cacheFault, unsteady.rate = *r.row.cache, r.rate
	}
	s, err := start(r.config(api, rng.IntN(2) == 0), func(env *service.Environment) error { return registerUnsteadyCache(env, unsteady) })
	if err != nil {
		return t, err
	}
	leads := makeLeads(r.leads)
	if err := feed(s, rng, withRepeats(rng, leads)); err != nil {
		return t, errors.Join(err, s.stop())
	}
	for _, f := range api.today.Faults() {
		if f.Operation == "" {
			t.struck += f.Injected
		}
	}
	api.today.ClearFaults()
	t.struck += unsteady.end()
	if cut != nil {
		t.struck += cut.end()
	}
	if err := errors.Join(feed(s, rng, leads), s.stop()); err != nil {
		return t, fmt.Errorf("delivering again: %w", err)
	}
	t.dials = api.today.RequestsOf("triggerRun") + api.today.RequestsOf("triggerHook")
	t.lists = api.today.RequestsOf("listRuns") + api.today.RequestsOf("listRunNodes") + api.today.RequestsOf("getRunOutput")
	r.count(&t, leads, s.out, api)
	return t, nil
}

func (r todayRun) timeout() time.Duration {
	return run{row: row{brief: r.row.brief}, short: r.short}.timeout()
}

const payloadMapping = "root.phone_number = this.phone\nroot.lead_id = this.id"

func (r todayRun) config(a *api, onFile bool) config {
	hook := "http://" + a.address + "/hooks/" + platform.DefaultWorkflow
	var c config
	if r.side == peer {
		c = peerConfig(a.url, r.timeout())
		url, mapping := a.url+"/workflows/"+platform.DefaultWorkflow+"/runs", "root.payload.phone_number = this.phone\nroot.payload.lead_id = this.id\nroot.environment = \"production\""
		if r.row.hook {
			url, mapping = hook, payloadMapping
		}
		c.output = fmt.Sprintf(`
fallback:
  - processors:
      - mapping: |
          %s
    http_client:
      url: %s
      verb: POST
      headers: {Authorization: Bearer test-key, Content-Type: application/json}
      timeout: %s
      retries: 10
      retry_period: 5ms
      max_retry_backoff: 50ms
      backoff_on: [429]
      max_in_flight: %d
  - collect: {as: failure}
`, indent(10, mapping), url, r.timeout(), maxInFlight)
	} else {
		extra := []string{quickRetry, quickBatching, "ledger: ledger", fmt.Sprint("timeout: ", r.timeout())}
		if r.row.hook {
			extra = append(extra, "hook: {url: "+hook+"}")
		}
		c.output = fmt.Sprintf(`
happyrobot_workflow:
  api_key: test-key
  base_url: %s
  workflow: %s
  settle: %s
  on_unknown: %s
  dedupe_key: ${! json("id") }
  phone_field: phone_number
  payload_mapping: |
    %s
  max_in_flight: %d
  receipts: {collect: {as: receipt}}
  failures: {collect: {as: failure}}
  %s
`, a.url, platform.DefaultWorkflow, settle, r.side, indent(4, payloadMapping), maxInFlight, indent(2, strings.Join(extra, "\n")))
	}
	store := "label: store\nmemory: {}"
	if onFile {
		store = fmt.Sprintf("label: store\nbbolt: {path: %q}", filepath.Join(r.dir, "ledger.db"))
	}
	c.caches = []string{store, "label: ledger\nunsteady: {cache: store}"}
	return c
}

// todayAll does every row on some sides at some rates, and adds them up.
func todayAll(t *testing.T, s uint64, all []todayRow, sides []side, rates []float64, leads int, short bool) map[string]map[side]tally {
	t.Helper()
	sums := map[string]map[side]tally{}
	var mu sync.Mutex
	var failed []error
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, row := range all {
		sums[row.name] = map[side]tally{}
		for _, on := range sides {
			for _, rate := range rates {
				h := fnv.New64a()
				_, _ = fmt.Fprint(h, s, row.name, rate) // each side meets the same
				r := todayRun{row: row, side: on, rate: rate, leads: leads, seed: h.Sum64(), dir: t.TempDir(), short: short}
				wg.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					got, err := r.do()
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						failed = append(failed, fmt.Errorf("%s, %s at %v: %w", row.name, on, rate, err))
					}
					sums[row.name][on] = sums[row.name][on].plus(got)
				})
			}
		}
	}
	wg.Wait()
	require.NoError(t, errors.Join(failed...))
	return sums
}

func assertTodaysPromise(t *testing.T, r todayRow, s side, got tally) {
	t.Helper()
	assert.Positive(t, got.struck, "the fault was injected")
	assert.Zero(t, got.lost, "lost")
	if r.promises(s) {
		assert.Zero(t, got.doubled, "started twice")
		assert.Empty(t, got.lies)
	}
}

func TestNoFaultOfThePlatformDoublesOrLosesALead(t *testing.T) {
	t.Parallel()
	all := todayRows()
	if testing.Short() {
		all = all[len(all)-1:]
	}
	got := todayAll(t, seed(t), all, []side{hold, redialAbsent}, []float64{0.2}, 60, true)
	for _, r := range all {
		for _, s := range []side{hold, redialAbsent} {
			t.Run(r.name+"/"+string(s), func(t *testing.T) { assertTodaysPromise(t, r, s, got[r.name][s]) })
		}
	}
}

const todayTitle = "## The platform\n"

// TestReliabilityTableOfThePlatform is TestReliabilityTable for the second table of the file.
func TestReliabilityTableOfThePlatform(t *testing.T) {
	update := os.Getenv("UPDATE_RELIABILITY_PLATFORM") != ""
	b, err := os.ReadFile(tableFile)
	require.NoError(t, err)
	v1, today, _ := strings.Cut(string(b), todayTitle)
	if update || os.Getenv("CHECK_RELIABILITY") != "" {
		s := seed(t)
		got := todayAll(t, s, todayRows(), tableSides, tableRates, tableLeads, false)
		for _, r := range todayRows() {
			for _, on := range []side{hold, redialAbsent} {
				t.Run(r.name+"/"+string(on), func(t *testing.T) { assertTodaysPromise(t, r, on, got[r.name][on]) })
			}
		}
		if update {
			today = todaysTable(s, got)
			require.NoError(t, os.WriteFile(tableFile, []byte(strings.TrimRight(v1, "\n")+"\n\n"+todayTitle+today), 0o600))
		}
	}
	told := map[string][]string{}
	for line := range strings.Lines(today) {
		if cells := cellsOf(line); len(cells) == len(columns) && cells[0] != columns[0] && !strings.HasPrefix(cells[0], "-") {
			told[withoutNote(cells[0])] = cells
		}
	}
	for _, r := range todayRows() {
		cells, ok := told[r.name]
		if !assert.True(t, ok, "tests/reliability.md has no row %q of the platform: run `make reliability`", r.name) {
			continue
		}
		delete(told, r.name)
		for i, s := range []side{hold, redialAbsent} {
			if r.promises(s) {
				assert.True(t, strings.HasPrefix(cells[2+i], "0 / 0 /"), "%s, %s: %s", r.name, s, cells[2+i])
			}
		}
	}
	assert.Empty(t, told, "rows of faults that no longer exist: run `make reliability`")
}

func todaysTable(seed uint64, got map[string]map[side]tally) string {
	var b, notes strings.Builder
	fmt.Fprintf(&b, `
Likewise for `+"`happyrobot_workflow`"+` and the pretend platform, seed %d: %d leads for each row and
column, at the same three rates. `+"`http_client`"+` posts the same triggers one by one. Requests are those
that start runs and those that look them up.

`, seed, tableLeads*len(tableRates))
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	b.WriteString("| | | doubled / lost / held | doubled / lost / held | doubled / lost / misfiled | |\n")
	note := 0
	for _, r := range todayRows() {
		name := r.name
		if r.why != "" {
			note++
			name += fmt.Sprintf(" [%d]", note)
			fmt.Fprintf(&notes, "[%d] No promise for `%s`: %s.\n", note, r.except, r.why)
		}
		h, a, p := got[r.name][hold], got[r.name][redialAbsent], got[r.name][peer]
		fmt.Fprintf(&b, "| %s | %d, %d, %d | %d / %d / %d | %d / %d / %d | %d / %d / %d | %d, %d, %d |\n", name,
			h.struck, a.struck, p.struck, h.doubled, h.lost, h.held, a.doubled, a.lost, a.held, p.doubled, p.lost, p.called,
			h.dials+h.lists, a.dials+a.lists, p.dials+p.lists)
	}
	return b.String() + "\n" + notes.String()
}
