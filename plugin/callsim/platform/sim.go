package platform

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

// Sim is the pretend platform, an http.Handler. It is safe for concurrent use. A Sim has
// goroutines of its own only while Options.Webhooks names a receiver; Close ends them.
type Sim struct {
	opts   Options
	rig    *rig.Rig
	mux    *http.ServeMux
	teller *teller // nil when nobody is told

	// Guarded by the rig's lock.
	flows  []*workflow
	runs   []*run // in order of creation
	byID   map[string]*run
	line   *line  // of all runs but those of sequential workflows
	shadow uint64 // ids given away that are of no run

	byPhone map[string][]*run
	decided []decided
	tokens  float64 // of the rate limit
	filled  time.Time
}

// workflow is a Workflow with its state.
type workflow struct {
	Workflow
	n    int // its place, from 1
	runs []*run
	line *line
}

// run is one execution. Its life is computed from the time passed.
type run struct {
	id          string
	seq         uint64
	flow        *workflow
	environment string
	e2e         bool
	sent        []*sent // what started it: one, or with Group several
	plan        plan
	created     time.Time     // on the calendar
	listedAt    time.Time     // on the wall
	entered     time.Duration // on the simulated clock
	arrived     time.Duration // of an arranged run, when it was arranged; before that, its time ran like the wall's
	began       time.Duration // likewise; not before started
	started     bool
	canceled    bool
	canceledAt  time.Duration
	columns     string
	direction   string                     // of its sessions
	show        map[string]json.RawMessage // arranged
	omit        []string                   // likewise
}

// sent is what one trigger brought.
type sent struct {
	payload map[string]any
	key     string // of the hook
}

// New returns a Sim without runs or faults. It panics where Validate returns an error.
func New(opts Options) *Sim {
	if err := opts.Validate(); err != nil {
		panic("callsim: " + err.Error())
	}
	opts = opts.withDefaults()
	s := &Sim{
		opts: opts, byID: map[string]*run{}, byPhone: map[string][]*run{}, tokens: float64(opts.RateLimit), filled: time.Now(), line: &line{most: opts.Concurrent},
		rig: rig.New(rig.Options{Seed: opts.Seed, Speed: opts.Speed, Skew: opts.ClockSkew, Date: opts.Date, Table: table}),
	}
	for i, w := range opts.Workflows {
		s.flows = append(s.flows, s.newWorkflow(i+1, w))
	}
	s.route()
	if opts.Webhooks.wanted() {
		s.teller = startTelling(s, opts.Webhooks)
	}
	return s
}

func (s *Sim) newWorkflow(n int, w Workflow) *workflow {
	w.ID = cmp.Or(w.ID, fixedID(kindWorkflow, uint64(n)))
	w.Slug = cmp.Or(w.Slug, strings.ReplaceAll(strings.ToLower(w.Name), " ", "-"), DefaultWorkflow+"-"+strconv.Itoa(n))
	w.Name = cmp.Or(w.Name, w.Slug)
	w.Trigger = cmp.Or(w.Trigger, IncomingHook)
	w.MultiEvent = cmp.Or(w.MultiEvent, Parallel)
	w.HookSlug = cmp.Or(w.HookSlug, w.Slug)
	w.Columns = cmp.Or(w.Columns, ColumnsAtOnce)
	if w.Environments == nil {
		w.Environments = []string{Production}
	}
	w.Environments = slices.Clone(w.Environments)
	flow := &workflow{Workflow: w, n: n, line: s.line}
	if w.MultiEvent == Sequential {
		flow.line = &line{most: 1}
	}
	return flow
}

// Seed returns the seed, which Options.Seed takes to repeat a run.
func (s *Sim) Seed() uint64 { return s.rig.Seed() }

// Close ends delays and waits (AwaitRuns and the like), and returns when the last webhook
// has ended. The Sim still answers requests afterwards. Close may be called twice.
func (s *Sim) Close() {
	s.rig.Close()
	if s.teller != nil {
		s.teller.Stop()
	}
}

// Advance leaps simulated time forward. It panics when told to go back.
func (s *Sim) Advance(d time.Duration) { s.rig.Advance(d) }

// SetClock sets the API's clock to be skew ahead of the wall's. It stamps runs from then
// on, and what list requests ask for is compared with those stamps.
func (s *Sim) SetClock(skew time.Duration) { s.rig.SetClock(skew) }

// Kinds of objects, as their ids tell them apart.
const (
	kindOrg = iota + 1
	kindWorkflow
	kindVersion
	kindPersistent
	kindNode
	kindRun
	kindSession
	kindEvent
	kindKey
	kindMessage
	kindOutput
	kindContact
	kindNotice
)

// fixedID is an id that is the same in every Sim.
func fixedID(kind int, n uint64) string {
	return fmt.Sprintf("00000000-0000-7%03x-8000-%012x", kind, n)
}

// id is one of this Sim alone.
func (s *Sim) id(kind int, n uint64) string {
	return fmt.Sprintf("%08x-0000-7%03x-8000-%012x", uint32(s.Seed()), kind, n)
}

// numberOf reads an id of this Sim back.
func (s *Sim) numberOf(kind int, id string) (n uint64, ok bool) {
	if len(id) != 36 || id[:24] != s.id(kind, 0)[:24] {
		return 0, false
	}
	n, err := strconv.ParseUint(id[24:], 16, 64)
	return n, err == nil
}

// enter creates a run. The caller holds the lock.
func (s *Sim) enter(flow *workflow, environment string, what *sent, at time.Time, reading time.Duration) *run {
	seq := uint64(len(s.runs)) + 1
	r := &run{
		id: s.id(kindRun, seq), seq: seq, flow: flow, environment: environment, sent: []*sent{what},
		created: at.Add(s.rig.Skew()).Truncate(s.opts.CreatedResolution), listedAt: at.Add(s.opts.Visibility), entered: reading, columns: flow.Columns, direction: "outbound",
	}
	r.plan = s.planOf(r, s.fateOf(what.payload))
	s.rig.Created(at)
	s.runs = append(s.runs, r)
	flow.runs = append(flow.runs, r)
	s.byID[r.id] = r
	s.byPhone[r.phone()] = append(s.byPhone[r.phone()], r)
	s.rig.Wake()
	return r
}

// flowOf finds a workflow by its id or slug.
func (s *Sim) flowOf(name string) *workflow {
	for _, w := range s.flows {
		if w.ID == name || w.Slug == name {
			return w
		}
	}
	return nil
}

// at reads a value at a dotted path.
func at(members map[string]any, path string) any {
	var v any = members
	for part := range strings.SplitSeq(path, ".") {
		inner, _ := v.(map[string]any)
		v = inner[part]
	}
	return v
}

// phone is the number that a run calls, "" for none.
func (r *run) phone() string {
	paths := []string{"phone_number", "phone", "to"}
	if r.flow.PhoneField != "" {
		paths = []string{r.flow.PhoneField}
	}
	for _, path := range paths {
		if number, ok := at(r.sent[0].payload, path).(string); ok {
			return number
		}
	}
	return ""
}

// holds says whether a payload has a value anywhere.
func holds(v any, value string) bool {
	switch v := v.(type) {
	case string:
		return v == value
	case []any:
		return slices.ContainsFunc(v, func(inner any) bool { return holds(inner, value) })
	case map[string]any:
		for inner := range maps.Values(v) {
			if holds(inner, value) {
				return true
			}
		}
	}
	return false
}
