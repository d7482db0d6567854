package platform

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

// Several sessions and messages share their run's number.
const (
	sessionsOfRun     = 16
	messagesOfSession = 1024
)

func (s *Sim) sessionID(r *run, n int) string {
	return s.id(kindSession, r.seq*sessionsOfRun+uint64(n))
}

// sip is how a session ended, in the words of telephony.
var sip = map[string]struct{ code, reason, failure any }{
	completed: {"200", "OK", nil}, voicemail: {"200", "OK", nil}, missed: {"480", "Temporarily Unavailable", "sip_user_unavailable"},
	busy: {"486", "Busy Here", "sip_user_rejected"}, failed: {"503", "Service Unavailable", "sip_trunk_failure"}, canceled: {"487", "Request Terminated", nil},
}

// session is one call as the API shows it. The caller holds the lock.
func (s *Sim) session(r *run, l sessionLife) object {
	how := sip[l.status]
	shown := object{
		"id": s.sessionID(r, l.n), "org_id": fixedID(kindOrg, 1), "use_case_id": r.flow.ID, "version_id": r.flow.versionOf(r.environment), "run_id": r.id,
		"user_number": r.phone(), "status": l.status, "type": r.direction, "duration": nil, "timestamp": stampText(s.stamp(r, l.beganAt)), "call_connected_at": nil,
		"sip_code": how.code, "sip_reason": how.reason, "failure_reason": how.failure, "llm_model": "gpt-4.1", "stt_model": nil, "tts_model": nil, "voice_id": nil,
		"languages": []string{"en-US"},
	}
	if l.connectedAt > 0 {
		shown["call_connected_at"] = stampText(s.stamp(r, l.connectedAt))
		if l.over {
			shown["duration"] = int((l.endedAt - l.connectedAt) / time.Second)
		}
	}
	return shown
}

func (s *Sim) runSessions(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	want, newestFirst := q.page(100, 50), q.newestFirst("desc")
	if s.refused(w, opRunSessions, q) {
		return
	}
	s.onRun(w, req, opRunSessions, "", func(r *run, l life, _ time.Duration) any {
		shown := make([]object, len(l.sessions))
		for i, session := range l.sessions {
			shown[i] = s.session(r, session)
		}
		return pageOf(shown, want, newestFirst)
	})
}

// pageOf is a page of a list that is given from the oldest on.
func pageOf(all []object, want page, newestFirst bool) object {
	if newestFirst {
		slices.Reverse(all)
	}
	from, to := want.bounds(len(all))
	return object{"data": all[from:to], "pagination": want.snake(len(all))}
}

func (s *Sim) flowSessions(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	want, newestFirst := q.page(100, 50), q.newestFirst("desc")
	if s.refused(w, opFlowSessions, q) {
		return
	}
	s.rig.Lock()
	var shown any
	if flow := s.flowOf(req.PathValue("workflow_id")); flow != nil {
		shown = pageOf(s.sessionsOf(flow.runs, func(sessionLife) bool { return true }), want, newestFirst)
	}
	s.rig.Unlock()
	if shown == nil {
		s.fail(w, opFlowSessions, http.StatusNotFound, "Workflow not found")
		return
	}
	s.reply(w, opFlowSessions, shown)
}

// sessionsOf are the sessions of runs that are listed, from the oldest on. The caller holds the lock.
func (s *Sim) sessionsOf(runs []*run, wanted func(sessionLife) bool) []object {
	now, wall := s.settle(), time.Now()
	shown := []object{}
	for _, r := range runs {
		if wall.Before(r.listedAt) {
			continue
		}
		for _, session := range s.lifeOf(r, now).sessions {
			if wanted(session) {
				shown = append(shown, s.session(r, session))
			}
		}
	}
	slices.SortStableFunc(shown, func(a, b object) int {
		at, bt := a["timestamp"].(string), b["timestamp"].(string)
		switch {
		case at < bt:
			return -1
		case at > bt:
			return 1
		}
		return 0
	})
	return shown
}

// sessionNamed finds a session that is shown. The caller holds the lock.
func (s *Sim) sessionNamed(id string) (*run, life, sessionLife) {
	n, ok := s.numberOf(kindSession, id)
	if !ok || n/sessionsOfRun < 1 || n/sessionsOfRun > uint64(len(s.runs)) {
		return nil, life{}, sessionLife{}
	}
	r := s.runs[n/sessionsOfRun-1]
	l := s.lifeOf(r, s.settle())
	i := int(n % sessionsOfRun)
	if i >= len(l.sessions) || time.Now().Before(r.listedAt) {
		return nil, life{}, sessionLife{}
	}
	return r, l, l.sessions[i]
}

// onSession answers an operation on one session, under the lock.
func (s *Sim) onSession(w http.ResponseWriter, req *http.Request, operation string, answer func(*run, life, sessionLife) any) {
	s.rig.Lock()
	r, l, session := s.sessionNamed(req.PathValue("session_id"))
	var shown any
	if r != nil {
		shown = answer(r, l, session)
	}
	s.rig.Unlock()
	if shown == nil {
		s.fail(w, operation, http.StatusNotFound, "Session not found")
		return
	}
	s.reply(w, operation, shown)
}

func (s *Sim) getSession(w http.ResponseWriter, req *http.Request, body []byte) {
	if q := s.query(req, body); s.refused(w, opGetSession, q) {
		return
	}
	s.onSession(w, req, opGetSession, func(r *run, _ life, l sessionLife) any { return s.session(r, l) })
}

func (s *Sim) messages(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	want, newestFirst := q.page(100, 50), q.newestFirst("asc")
	if s.refused(w, opMessages, q) {
		return
	}
	s.onSession(w, req, opMessages, func(r *run, l life, session sessionLife) any {
		return pageOf(s.messagesOf(r, l, session), want, newestFirst)
	})
}

// said is one message.
type said struct {
	role, content string
	filler        bool
	calls         any
}

// talk is what is said in every session that connects: with what nobody said, too.
var talk = []said{
	{role: "event", content: "user_joined"},
	{role: "assistant", content: "Good morning, this is a call about your appointment on Monday. Does nine o'clock still work?"},
	{role: "user", content: "Yes, that works."},
	{role: "assistant", content: "One moment.", filler: true},
	{role: "assistant", calls: []object{{"name": "confirm", "arguments": object{"appointment_id": "A-7"}}}},
	{role: "tool", content: `{"ok":true}`},
	{role: "assistant", content: "It is confirmed. Good bye."},
	{role: "user", content: "<Thoughts>The caller says nothing.</Thoughts>"},
	{role: "event", content: "agent_hung_up"},
}

// turns is how many messages a session has: what is said, over and over if a fate wants more.
func (r *run) turns() int { return cmp.Or(r.plan.turns, len(talk)) }

// messagesOf are the messages of a session that have come so far. The caller holds the lock.
func (s *Sim) messagesOf(r *run, l life, session sessionLife) []object {
	shown := []object{}
	if session.connectedAt == 0 || l.deleted {
		return shown
	}
	now, number := s.rig.Now(), (r.seq*sessionsOfRun+uint64(session.n))*messagesOfSession
	for i := range r.turns() {
		m, at := talk[i%len(talk)], session.connectedAt+time.Duration(i)*time.Second
		if session.over {
			at = min(at, session.endedAt)
		} else if at > now {
			break
		}
		shown = append(shown, object{
			"id": s.id(kindMessage, number+uint64(i)), "session_id": s.sessionID(r, session.n), "role": m.role, "status": nil, "content": m.content,
			"timestamp": stampText(s.stamp(r, at)), "is_filler": m.filler, "is_interrupted": false, "tool_calls": m.calls, "artifacts": nil, "turn_index": i,
		})
	}
	return shown
}

// spoken is the talk as a node's output and a column show it, and spokenText the latter.
var (
	spoken     = spokenTurns()
	spokenText = flat(spoken)
)

func spokenTurns() (turns []object) {
	for _, m := range talk {
		if (m.role == "assistant" || m.role == "user") && m.content != "" {
			turns = append(turns, object{"role": m.role, "content": m.content})
		}
	}
	return turns
}

// talked says whether any session of a run that is over was connected.
func (l life) talked() bool {
	return slices.ContainsFunc(l.sessions, func(session sessionLife) bool { return session.over && session.connectedAt > 0 })
}

func (s *Sim) recordings(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	only := q.uuid("session_id")
	q.whole("url_expires_in_days", 1, 7, 1)
	if s.refused(w, opRecordings, q) {
		return
	}
	s.onRun(w, req, opRecordings, "", func(r *run, l life, now time.Duration) any {
		found := []object{}
		for _, session := range l.sessions {
			id := s.sessionID(r, session.n)
			if session.over && session.connectedAt > 0 && now >= session.endedAt+s.opts.RecordingDelay && !l.deleted && (only == "" || only == id) {
				found = append(found, object{"session_id": id, "url": "https://storage.example.com/recordings/" + id + ".mp3?expires=1790000000&signature=" + RecordingSignature})
			}
		}
		return object{"recordings": found}
	})
}

// RecordingSignature stands in the signed URL of every recording. It must never get into a log.
const RecordingSignature = "sim-signature-51f0"
