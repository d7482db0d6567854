package platform

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

const outputsOfRun = 16

// execution is a node that has run.
type execution struct {
	node
	at     time.Duration // reading of the simulated clock
	status string
	wrong  any // its error
	data   object
	on     any // the session it belongs to
}

func (s *Sim) outputID(r *run, n int) string { return s.id(kindOutput, r.seq*outputsOfRun+uint64(n)) }

// executions are the nodes of a run that have run, in order. A trigger has as soon as the
// run is there. The caller holds the lock.
func (s *Sim) executions(r *run, l life) []execution {
	nodes := r.flow.nodes()
	all := []execution{{node: nodes[0], at: r.entered, status: "succeeded", data: s.triggerData(r)}}
	if last := len(l.sessions) - 1; last >= 0 && (l.over || l.sessions[last].over && len(l.sessions) == len(r.plan.sessions)) {
		session, transcript := l.sessions[last], []object(nil)
		if l.talked() {
			transcript = spoken
		}
		all = append(all, execution{
			node: nodes[1], at: session.endedAt, status: "succeeded", on: s.sessionID(r, session.n),
			data: object{"status": session.status, "to": r.phone(), "transcript": transcript},
		})
	} else if l.over && len(r.plan.sessions) == 0 && r.started {
		all = append(all, execution{node: nodes[1], at: l.endedAt, status: "failed", wrong: "invalid phone number", data: object{"error": "invalid phone number"}})
	}
	if l.outputs && r.plan.extract != nil {
		response := object{}
		for name, value := range r.plan.extract {
			response[name] = value
		}
		all = append(all, execution{node: nodes[2], at: l.lastAt, status: "succeeded", data: object{"input": "assistant: Good morning, ...", "response": response}})
	}
	return all
}

// triggerData is what was sent, nested by an incoming hook. Several triggers that Group
// folded into one run are a list there.
func (s *Sim) triggerData(r *run) object {
	var body any = r.sent[0].payload
	if len(r.sent) > 1 {
		list := make([]any, len(r.sent))
		for i, one := range r.sent {
			list[i] = one.payload
		}
		body = list
	}
	if r.flow.Trigger == IncomingHook {
		headers := object{"content-type": "application/json"}
		if key := r.sent[0].key; key != "" {
			headers["x-api-key"] = key
		}
		return object{"data": body, "query": object{}, "method": http.MethodPost, "headers": headers}
	}
	if members, ok := body.(object); ok {
		return members
	}
	return object{"events": body}
}

func (s *Sim) runNodes(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	only, newestFirst := q.uuid("node_persistent_id"), q.newestFirst("asc")
	if s.refused(w, opRunNodes, q) {
		return
	}
	s.onRun(w, req, opRunNodes, "", func(r *run, l life, _ time.Duration) any {
		shown, edges := []object{}, []object{}
		all := s.executions(r, l)
		for i, e := range all {
			if i > 0 {
				edges = append(edges, object{
					"from_output_id": s.outputID(r, i-1), "to_output_id": s.outputID(r, i), "from_node_persistent_id": all[i-1].persistentID(),
					"to_node_persistent_id": e.persistentID(), "conditional_expr": nil,
				})
			}
			if only != "" && only != e.persistentID() {
				continue
			}
			shown = append(shown, object{
				"output_id": s.outputID(r, i), "run_id": r.id, "node_id": r.flow.nodeIn(e.node, r.environment), "node_persistent_id": e.persistentID(), "name": e.name,
				"node_type": "action", "status": e.status, "error": e.wrong, "timestamp": stampText(s.stamp(r, e.at)),
			})
		}
		if newestFirst {
			slices.Reverse(shown)
		}
		return object{"data": shown, "edges": edges}
	})
}

func (s *Sim) runOutput(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	for _, name := range []string{"run_id", "output_id"} {
		if !uuid.MatchString(req.PathValue(name)) {
			q.wrong(name, `must match format "uuid"`)
		}
	}
	if s.refused(w, opRunOutput, q) {
		return
	}
	s.onRun(w, req, opRunOutput, "Output not found", func(r *run, l life, _ time.Duration) any {
		for i, e := range s.executions(r, l) {
			if !strings.EqualFold(s.outputID(r, i), req.PathValue("output_id")) {
				continue
			}
			shown := object{
				"id": s.outputID(r, i), "run_id": r.id, "node_id": r.flow.nodeIn(e.node, r.environment), "node_persistent_id": e.persistentID(), "session_id": e.on,
				"chat_session_id": nil, "event_id": fixedID(kindEvent, e.number), "name": e.name, "node_type": "action", "data": e.data, "error": e.wrong, "status": e.status,
				"scope": "workflow", "is_multiple": false, "data_deleted": l.deleted, "input_tokens": nil, "output_tokens": nil, "cached_input_tokens": nil, "input": nil,
				"timestamp": stampText(s.stamp(r, e.at)),
			}
			if l.deleted {
				shown["data"] = nil
			}
			return object{"data": shown}
		}
		return nil
	})
}
