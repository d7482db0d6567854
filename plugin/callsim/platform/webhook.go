package platform

import (
	"cmp"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

// Webhooks says who is told when sessions change and runs end. Delivery is in no order: a
// receiver must deduplicate, and read the run.
type Webhooks struct {
	SessionURL    string        // gets the event session.status_changed
	CallbackURL   string        // gets the post of a Webhook node at the end of each run
	CallbackField string        // member of the payload that says who gets it instead, such as callback_url
	RunIDPath     string        // dotted path of the run's id in that post; default run_id
	Header        string        // of the secret; default WebhookHeader
	Secret        string        // "" sends none
	Attempts      int           // until an event that is not answered 2xx is given up; default 1, as no retry is documented
	Pause         time.Duration // before the second attempt, twice as long before each further one; default 100ms
	Twice         float64       // probability that an event is sent again although it was taken
	Lost          float64       // probability that an event is never sent
	Late          float64       // probability that an event is sent after others that came later
	LateBy        time.Duration // by how much then, on the wall; default 200ms
}

// WebhookHeader is the header of the secret of webhooks unless told otherwise.
const WebhookHeader = "x-api-key"

// WebhookStats are the events so far. When Taken, GivenUp and Lost make up all Events, none
// is under way.
type WebhookStats = rig.NoticeStats

func (o Webhooks) wanted() bool {
	return o.SessionURL != "" || o.CallbackURL != "" || o.CallbackField != ""
}

// beforeEnd is how long before a run's end its last node, the Webhook, posts: what it tells
// is known, but the run is still running.
const beforeEnd = time.Second

// teller reports changes of runs, until stopped.
type teller struct {
	*rig.Teller
	sim  *Sim
	opts Webhooks

	// Of the goroutine that looks.
	seen int // runs looked at so far
	open []*told
	sent uint64 // events so far, for their ids
}

// told is a run that is not over, and what was said about it.
type told struct {
	*run
	sessions []string
	called   bool
}

func startTelling(s *Sim, opts Webhooks) *teller {
	t := &teller{sim: s, opts: opts}
	t.opts.RunIDPath = cmp.Or(opts.RunIDPath, "run_id")
	rng := rand.New(rand.NewPCG(s.Seed(), 1)) //nolint:gosec // repeatable on purpose
	t.Teller = rig.Tell(rig.Delivery{
		Header: cmp.Or(opts.Header, WebhookHeader), Secret: opts.Secret, Attempts: cmp.Or(opts.Attempts, 1), Pause: opts.Pause,
		Twice: opts.Twice, Lost: opts.Lost, Late: opts.Late, LateBy: opts.LateBy,
	}, rng, t.changes)
	return t
}

// WebhookStats returns the events so far; all zero when no receiver is named.
func (s *Sim) WebhookStats() WebhookStats {
	if s.teller == nil {
		return WebhookStats{}
	}
	return s.teller.Stats()
}

// changes compares all open runs with what was told about them.
func (t *teller) changes() (changed []rig.Notice) {
	s := t.sim
	s.rig.Lock()
	defer s.rig.Unlock()
	now := s.settle()
	for _, r := range s.runs[t.seen:] {
		t.open = append(t.open, &told{run: r})
	}
	t.seen = len(s.runs)
	open := t.open[:0]
	for _, r := range t.open {
		l := s.lifeOf(r.run, now)
		changed = append(changed, t.sessionsOf(r, l)...)
		if to := t.callback(r.run); to != "" && !r.called && r.started && !r.canceled && now >= r.began+r.plan.over-beforeEnd {
			r.called = true
			changed = append(changed, rig.Notice{URL: to, MediaType: "application/json", Body: t.result(r.run, l)})
		}
		if !l.over {
			open = append(open, r)
		}
	}
	clear(t.open[len(open):])
	t.open = open
	return changed
}

// sessionsOf are the events of a run's sessions. A status that was leapt over is none.
func (t *teller) sessionsOf(r *told, l life) (changed []rig.Notice) {
	for i, session := range l.sessions {
		previous := ""
		if i < len(r.sessions) {
			previous = r.sessions[i]
		} else {
			r.sessions = append(r.sessions, "")
		}
		r.sessions[i] = session.status
		if t.opts.SessionURL == "" || previous == session.status {
			continue
		}
		t.sent++
		changed = append(changed, rig.Notice{URL: t.opts.SessionURL, MediaType: "application/cloudevents+json", Body: t.sim.sessionEvent(r.run, session, previous, t.sent)})
	}
	return changed
}

// callback is who gets a run's result, "" for nobody.
func (t *teller) callback(r *run) string {
	if url, ok := r.sent[0].payload[t.opts.CallbackField].(string); ok {
		return url
	}
	return t.opts.CallbackURL
}

// sessionEvent is a CloudEvent: no number, nothing of the payload. The caller holds the lock.
func (s *Sim) sessionEvent(r *run, session sessionLife, previous string, event uint64) []byte {
	now := stampText(s.rig.Today().Add(s.rig.Skew()))
	status := object{"previous": nil, "current": session.status, "updated_at": now}
	if previous != "" {
		status["previous"] = previous
	}
	b, _ := json.Marshal(object{
		"specversion": "1.0", "id": s.id(kindNotice, event), "source": "https://platform.happyrobot.ai", "type": "session.status_changed", "time": now,
		"datacontenttype": "application/json",
		"data": object{
			"schema_version": "2025-07-08", "org_id": fixedID(kindOrg, 1), "run_id": r.id, "session_id": s.sessionID(r, session.n), "use_case_id": r.flow.ID,
			"version_id": r.flow.versionOf(r.environment), "status": status, "org": object{"name": "Example Freight"}, "use_case": object{"name": r.flow.Name, "version": "4"},
		},
	})
	return b
}

// result is what the Webhook node of a workflow posts: by the convention of our examples.
// The caller holds the lock.
func (t *teller) result(r *run, l life) []byte {
	data := maps.Clone(r.sent[0].payload)
	delete(data, t.opts.CallbackField)
	delete(data, "dial_ref")
	if n := len(l.sessions); n > 0 {
		data["outcome"] = l.sessions[n-1].status
	}
	for name, value := range r.plan.extract {
		data[name] = value
	}
	kind := completed
	if r.plan.ends == failed {
		kind = failed
	}
	posted := object{"event_type": kind, "timestamp": stampText(t.sim.rig.Today().Add(t.sim.rig.Skew())), "data": data}
	if ref, ok := r.sent[0].payload["dial_ref"]; ok {
		posted["dial_ref"] = ref
	}
	put(posted, t.opts.RunIDPath, r.id)
	b, _ := json.Marshal(posted)
	return b
}

// put sets a value at a dotted path.
func put(members object, path string, v any) {
	name, rest, nested := strings.Cut(path, ".")
	if !nested {
		members[name] = v
		return
	}
	inner, ok := members[name].(object)
	if !ok {
		inner = object{}
		members[name] = inner
	}
	put(inner, rest, v)
}
