package platform

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

// streamSession sends the messages of a session as they are said, until it is over. With
// faults that break an answer it waits for the end first.
func (s *Sim) streamSession(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	backfill := q.whole("backfillLimit", 0, 1000, 0)
	if s.refused(w, opStream, q) {
		return
	}
	s.rig.Lock()
	r, _, session := s.sessionNamed(req.PathValue("session_id"))
	s.rig.Unlock()
	if r == nil {
		s.fail(w, opStream, http.StatusNotFound, "Session not found")
		return
	}
	send := func(event string, v any) {
		b, _ := json.Marshal(v)
		_, _ = fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, b)
		_ = http.NewResponseController(w).Flush()
	}
	s.rig.Reply(w, opStream, http.StatusOK, "text/event-stream", nil)
	send("connected", object{"session_id": s.sessionID(r, session.n)})
	sent := -1 // nothing was looked at yet
	for {
		s.rig.Lock()
		l := s.lifeOf(r, s.settle())
		session = l.sessions[session.n]
		messages := s.messagesOf(r, l, session)
		s.rig.Unlock()
		if sent < 0 {
			sent = max(0, len(messages)-backfill)
		}
		for ; sent < len(messages); sent++ {
			send("message", messages[sent])
		}
		if session.over {
			send("session_ended", object{"session_id": s.sessionID(r, session.n), "status": session.status})
			return
		}
		s.rig.Pause(req.Context(), rig.LookEvery)
		select {
		case <-req.Context().Done():
			return
		case <-s.rig.Done():
			return
		default:
		}
	}
}
