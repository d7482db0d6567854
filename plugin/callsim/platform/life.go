package platform

import (
	"regexp"
	"slices"
	"time"
)

// Words of sessions.
const (
	queued     = "queued"
	inProgress = "in-progress"
	completed  = "completed"
	busy       = "busy"
	missed     = "missed"
	voicemail  = "voicemail"
	failed     = "failed"
	canceled   = "canceled"
)

// Words of runs beyond those.
const (
	scheduled = "scheduled"
	running   = "running"
)

// The stages of a run and its sessions, in simulated time.
const (
	scheduledFor = 2 * time.Second  // at least
	firstSession = 1 * time.Second  // from the run's beginning
	ringsAfter   = 2 * time.Second  // from a session's beginning, queued until then
	redialPause  = 30 * time.Second // from a session's end to the next one
	wrapUp       = 5 * time.Second  // from the last session's end to the run's
	failsAfter   = 3 * time.Second  // a run that cannot call
	talkAtLeast  = 20 * time.Second
)

var e164 = regexp.MustCompile(`^\+[1-9]\d{6,14}$`)

// Fate is how a run goes. What is not given is drawn.
type Fate struct {
	Sessions []string          `json:"sessions,omitempty"` // last status of each session, in order; the last is the outcome
	Run      string            `json:"run,omitempty"`      // the run's last status; may be a word that no documentation lists
	Talk     Duration          `json:"talk,omitempty"`     // of each completed session
	Turns    int               `json:"turns,omitempty"`    // messages of each session that is connected
	Extract  map[string]string `json:"extract,omitempty"`  // what the extraction finds
}

// plan is a run's life, from its beginning.
type plan struct {
	sessions []span
	over     time.Duration
	outputs  time.Duration // when the last nodes have theirs
	ends     string
	turns    int
	extract  map[string]string
}

// span is a session's, from its run's beginning.
type span struct {
	from, talks, to time.Duration // talks is 0 when nobody answered
	ends            string
}

// planOf draws a run's life from its number in the sequence, the same each time, as far
// as it is not given.
func (s *Sim) planOf(r *run, f Fate) plan {
	h := r.seq * 0x9e3779b97f4a7c15
	p := plan{ends: f.Run, turns: f.Turns, extract: f.Extract}
	if !e164.MatchString(r.phone()) && f.Sessions == nil {
		p.over, p.outputs = failsAfter, failsAfter
		if p.ends == "" {
			p.ends = failed
		}
		return p
	}
	statuses := f.Sessions
	if statuses == nil {
		statuses = drawSessions(h)
	}
	talk := time.Duration(f.Talk)
	if talk == 0 {
		talk = talkAtLeast + time.Duration(h>>32%40)*time.Second
	}
	moment := firstSession
	for i, status := range statuses {
		if i > 0 {
			moment += redialPause
		}
		session := span{from: moment, ends: status}
		rings := ringsAfter
		switch status {
		case completed:
			session.talks = moment + rings + 8*time.Second
			moment = session.talks + talk
		case voicemail:
			session.talks = moment + rings + 15*time.Second
			moment = session.talks + 5*time.Second
		case missed:
			moment += rings + 25*time.Second
		default:
			moment += rings + 4*time.Second
		}
		session.to = moment
		p.sessions = append(p.sessions, session)
	}
	p.over = moment + wrapUp
	p.outputs = p.over + s.opts.OutputDelay
	if p.ends == "" {
		p.ends = completed
		if last := statuses[len(statuses)-1]; last == failed || last == canceled {
			p.ends = last
		}
	}
	if p.extract == nil && slices.Contains(statuses, completed) {
		p.extract = map[string]string{"confirmed": []string{"true", "false"}[h>>20%2], "new_time": ""}
	}
	return p
}

// drawSessions draws the last statuses of a run's sessions: it redials who is missed or
// busy, once.
func drawSessions(h uint64) []string {
	draw := func(p uint64) string {
		switch {
		case p < 60:
			return completed
		case p < 75:
			return missed
		case p < 82:
			return busy
		case p < 92:
			return voicemail
		case p < 97:
			return failed
		default:
			return canceled
		}
	}
	first := draw(h >> 40 % 100)
	if first == missed || first == busy {
		return []string{first, draw(h >> 48 % 100)}
	}
	return []string{first}
}

// line is where runs wait for their turn, first come, first served.
type line struct {
	most    int // at a time; negative for no limit
	waiting []*run
	busy    []*run
	free    time.Duration // when the newest place became free
}

// end is when a run that has begun gives its place back.
func (r *run) end() time.Duration {
	if r.canceled {
		return max(r.began, r.canceledAt)
	}
	return r.began + r.plan.over
}

// settle begins all runs whose turn has come by now.
func (l *line) settle(now time.Duration) {
	for len(l.waiting) > 0 {
		r := l.waiting[0]
		ready := r.entered + scheduledFor
		switch {
		case r.canceled:
			l.waiting = l.waiting[1:]
			continue
		case ready > now:
			return
		case l.most >= 0 && len(l.busy) >= l.most:
			first := slices.MinFunc(l.busy, func(a, b *run) int { return int(a.end() - b.end()) })
			if first.end() > now {
				return
			}
			l.busy = slices.DeleteFunc(l.busy, func(b *run) bool { return b == first })
			l.free = max(l.free, first.end())
			continue
		}
		r.started, r.began = true, max(ready, l.free)
		l.waiting = l.waiting[1:]
		if l.most >= 0 {
			l.busy = append(l.busy, r)
		}
	}
}

// life is what a run is now.
type life struct {
	status   string
	over     bool
	outputs  bool          // of the last nodes are there
	endedAt  time.Duration // reading of the simulated clock at the run's end
	lastAt   time.Duration // and at its last output
	sessions []sessionLife
	deleted  bool // its data, by retention
}

// sessionLife is what a session is now.
type sessionLife struct {
	n                    int // from 0
	status               string
	over                 bool
	beganAt, connectedAt time.Duration // readings; connectedAt 0 for not connected
	endedAt              time.Duration
}

// settle lets runs begin whose turn has come. The caller holds the lock.
func (s *Sim) settle() time.Duration {
	now := s.rig.Now()
	s.line.settle(now)
	for _, w := range s.flows {
		if w.line != s.line {
			w.line.settle(now)
		}
	}
	return now
}

// lifeOf computes a run's present. The caller holds the lock, and settle came before.
func (s *Sim) lifeOf(r *run, now time.Duration) life {
	l := s.stageOf(r, now)
	if !r.started {
		return l
	}
	age := now - r.began
	if r.canceled {
		age = r.canceledAt - r.began
	}
	for i, p := range r.plan.sessions {
		if p.from > age {
			break
		}
		session := sessionLife{n: i, status: queued, beganAt: r.began + p.from}
		if age >= p.from+ringsAfter {
			session.status = inProgress
		}
		if p.talks > 0 && age >= p.talks {
			session.connectedAt = r.began + p.talks
		}
		switch {
		case age >= p.to:
			session.status, session.over, session.endedAt = p.ends, true, r.began+p.to
		case r.canceled:
			session.status, session.over, session.endedAt = canceled, true, r.canceledAt
		}
		l.sessions = append(l.sessions, session)
	}
	return l
}

// stageOf computes a run's present without its sessions, likewise.
func (s *Sim) stageOf(r *run, now time.Duration) (l life) {
	switch {
	case r.canceled:
		l = life{status: canceled, over: true, endedAt: r.canceledAt, lastAt: r.canceledAt}
	case !r.started:
		l.status = scheduled
	case now-r.began < r.plan.over:
		l.status = running
	default:
		l = life{status: r.plan.ends, over: true, endedAt: r.began + r.plan.over, lastAt: r.began + r.plan.over}
		if now-r.began >= r.plan.outputs {
			l.outputs, l.lastAt = true, r.began+r.plan.outputs
		}
	}
	l.deleted = l.over && s.opts.Retention > 0 && now >= l.endedAt+s.opts.Retention
	return l
}

// stamp is the API's time at a reading of the simulated clock in a run's life.
// The caller holds the lock.
func (s *Sim) stamp(r *run, reading time.Duration) time.Time {
	if reading <= r.arrived {
		return r.created.Add(reading - r.entered)
	}
	return s.rig.Wall(reading).Add(s.rig.Skew()).Truncate(time.Millisecond)
}

const layout = "2006-01-02T15:04:05.000Z"

func stampText(t time.Time) string { return t.UTC().Format(layout) }
