package platform

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/internal/rig"
)

const (
	hooksPath = "/hooks"
	loginPath = "/login"
)

// trigger starts a run through the API.
func (s *Sim) trigger(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, nil)
	inQuery := q.oneOf("environment", environments...)
	if s.refused(w, opTrigger, q) {
		return
	}
	members, ok := s.members(w, req, opTrigger, body, "payload", "environment")
	if !ok {
		return
	}
	payload, ok := members["payload"].(object)
	if !ok {
		s.invalid(w, opTrigger, http.StatusBadRequest, "body/payload", "must be object")
		return
	}
	environment := Production
	if inQuery != "" {
		environment = inQuery
	}
	if v, given := members["environment"]; given {
		name, _ := v.(string)
		if !slices.Contains(environments, name) {
			s.invalid(w, opTrigger, http.StatusBadRequest, "body/environment", "must be equal to one of the allowed values")
			return
		}
		environment = name
	}
	if s.opts.Role == Viewer {
		s.failJSON(w, opTrigger, http.StatusForbidden, object{"error": "Forbidden", "message": "Insufficient permissions", "statusCode": http.StatusForbidden})
		return
	}
	s.rig.Lock()
	flow := s.flowOf(req.PathValue("workflow_id"))
	var answer object
	if flow != nil && flow.Trigger != FunctionRequest && slices.Contains(flow.Environments, environment) {
		answer = s.start(flow, environment, &sent{payload: payload}, struck(req))
	}
	s.rig.Unlock()
	switch {
	case flow == nil:
		s.fail(w, opTrigger, http.StatusNotFound, "Workflow not found")
	case answer == nil:
		s.failJSON(w, opTrigger, http.StatusNotFound, object{"error": "Workflow not found upstream"})
	default:
		s.reply(w, opTrigger, answer)
	}
}

func (s *Sim) routeHooks() {
	s.handle("POST "+hooksPath+"/{slug}", opHook, s.hookHost(opHook), func(w http.ResponseWriter, req *http.Request, body []byte) {
		s.hook(w, req, body, opHook, Production)
	})
	s.handle("POST "+hooksPath+"/{environment}/{slug}", opHookIn, s.hookHost(opHookIn), func(w http.ResponseWriter, req *http.Request, body []byte) {
		s.hook(w, req, body, opHookIn, req.PathValue("environment"))
	})
	s.mux.HandleFunc("GET "+loginPath, login)
	s.mux.HandleFunc("POST "+loginPath, login)
}

// login is the page that a hook at the wrong host leads to. It answers 200, as if all were well.
func login(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = w.Write([]byte("<html><body><form>Sign in</form></body></html>"))
}

// hookHost leads to the login page where hooks are not.
func (s *Sim) hookHost(operation string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, req *http.Request) bool {
		if s.opts.HookHost == "" || req.Host == s.opts.HookHost {
			return true
		}
		s.redirect(w, operation)
		return false
	}
}

// hook starts a run through the trigger's own URL.
func (s *Sim) hook(w http.ResponseWriter, req *http.Request, body []byte, operation, environment string) {
	if q := s.query(req, nil); s.refused(w, operation, q) {
		return
	}
	s.rig.Lock()
	i := slices.IndexFunc(s.flows, func(f *workflow) bool { return f.HookSlug == req.PathValue("slug") })
	s.rig.Unlock()
	if i < 0 {
		s.fail(w, operation, http.StatusNotFound, "Workflow not found")
		return
	}
	flow, key := s.flows[i], req.Header.Get("x-api-key")
	if flow.HookKey != "" && key != flow.HookKey {
		s.failJSON(w, operation, http.StatusUnauthorized, object{"error": "Invalid API key"})
		return
	}
	payload := object{}
	if len(body) > 0 {
		var ok bool
		if payload, ok = s.members(w, req, operation, body); !ok {
			return
		}
	}
	s.rig.Lock()
	var answer object
	if flow.Trigger == IncomingHook && slices.Contains(flow.Environments, environment) {
		answer = s.start(flow, environment, &sent{payload: payload, key: key}, struck(req))
	}
	s.rig.Unlock()
	if answer == nil {
		s.fail(w, operation, http.StatusNotFound, "Workflow not found")
		return
	}
	s.reply(w, operation, answer)
}

// start queues a run, or folds the trigger into one that is scheduled, and makes the answer.
// The caller holds the lock.
func (s *Sim) start(flow *workflow, environment string, what *sent, f rig.Fault) object {
	now := s.settle()
	r := s.fold(flow, environment, what)
	if r == nil {
		r = s.enter(flow, environment, what, s.rig.Today(), now)
		flow.line.waiting = append(flow.line.waiting, r)
		s.hideAs(r, f)
	}
	form := s.opts.Answers[s.rig.Rand().IntN(len(s.opts.Answers))]
	switch f.Kind {
	case NoID:
		form = AnswerNone
	case TwoIDs:
		form = AnswerTwo
	}
	answer := object{}
	maps.Copy(answer, []object{{}, {"status": "queued"}, {"message": "ok"}}[s.rig.Rand().IntN(3)])
	switch form {
	case AnswerRunID:
		answer["run_id"] = r.id
	case AnswerQueued:
		answer["queued_run_ids"] = []string{r.id}
	case AnswerBoth:
		answer["run_id"], answer["queued_run_ids"] = r.id, []string{r.id}
	case AnswerTwo:
		s.shadow++
		answer["queued_run_ids"] = []string{r.id, s.id(kindRun, 1<<40+s.shadow)}
	}
	return answer
}

// fold puts a trigger into a run that is there: with Group, every second one that comes
// while the run is scheduled.
func (s *Sim) fold(flow *workflow, environment string, what *sent) *run {
	if flow.MultiEvent != Group || len(flow.runs) == 0 {
		return nil
	}
	r := flow.runs[len(flow.runs)-1]
	if r.started || r.canceled || r.environment != environment || len(r.sent) > 1 {
		return nil
	}
	r.sent = append(r.sent, what)
	s.rig.Wake()
	return r
}

// hideAs lets a fault strike a new run.
func (s *Sim) hideAs(r *run, f rig.Fault) {
	switch f.Kind {
	case Hide:
		r.listedAt = r.listedAt.Add(time.Duration(f.Delay))
	case DropColumns:
		r.columns = ColumnsNone
	case LateColumns:
		r.columns = ColumnsLate
	}
}
