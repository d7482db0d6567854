package platform

import (
	"net/http"
	"slices"

	"strings"
)

// Roles of a key. New keys of the platform are Viewers.
const (
	Owner  = "owner"
	Viewer = "viewer"
)

const (
	published = "2026-09-01T09:00:00.000Z"
	drafted   = "2026-09-01T08:59:00.000Z"
)

// node is one of a version.
type node struct {
	kind   string // of what it is: the trigger, the voice agent, the extraction
	name   string
	number uint64
}

// nodes are those of every version, in order.
func (w *workflow) nodes() []node {
	trigger := map[string]string{IncomingHook: "Incoming hook", PredefinedRequest: "Predefined request", FunctionRequest: "Workflow function request"}[w.Trigger]
	base := uint64(w.n-1) * 16
	return []node{{nodeTrigger, trigger, base + 1}, {nodeVoice, "Outbound Voice Agent", base + 2}, {nodeExtract, "AI Extract", base + 3}}
}

const (
	nodeTrigger = "trigger"
	nodeVoice   = "voice"
	nodeExtract = "extract"
)

func (n node) persistentID() string { return fixedID(kindPersistent, n.number) }

// versionOf is the id of the version that is live in an environment. Its number tells both.
func (w *workflow) versionOf(environment string) string {
	return fixedID(kindVersion, uint64((w.n-1)*len(environments)+slices.Index(environments, environment)+1))
}

// nodeIn is the id of a node in a version: persistent ids stay when a version is published
// anew, these do not.
func (w *workflow) nodeIn(n node, environment string) string {
	return fixedID(kindNode, n.number+uint64(slices.Index(environments, environment))<<16)
}

// show is a workflow as the API shows it: with its live version, or else the newest.
// The caller holds the lock.
func (w *workflow) show() object {
	environment, live := Production, len(w.Environments) > 0
	if live && !slices.Contains(w.Environments, Production) {
		environment = w.Environments[0]
	}
	version := object{
		"id": w.versionOf(environment), "name": "v4", "slug": "v4-" + w.Slug, "version_number": 4, "is_published": live, "is_live": live, "environment": environment,
		"workflow_version": 3, "published_at": nil, "timestamp": drafted,
	}
	if live {
		version["published_at"] = published
	}
	return object{
		"id": w.ID, "org_id": fixedID(kindOrg, 1), "name": w.Name, "slug": w.Slug, "folder_id": nil, "data_retention_days": 90, "timestamp": "2026-08-01T09:00:00.000Z",
		"latest_version": version,
	}
}

func (s *Sim) listWorkflows(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, body)
	want, newestFirst, search := q.page(100, 50), q.newestFirst("desc"), strings.ToLower(q.text("search"))
	q.text("folder_id")
	if s.refused(w, opListWorkflows, q) {
		return
	}
	s.rig.Lock()
	found := []object{}
	for _, flow := range s.flows {
		if strings.Contains(strings.ToLower(flow.Name), search) {
			found = append(found, flow.show())
		}
	}
	s.rig.Unlock()
	if newestFirst {
		slices.Reverse(found)
	}
	from, to := want.bounds(len(found))
	s.reply(w, opListWorkflows, object{"data": found[from:to], "pagination": want.snake(len(found))})
}

func (s *Sim) getWorkflow(w http.ResponseWriter, req *http.Request, body []byte) {
	if q := s.query(req, body); s.refused(w, opGetWorkflow, q) {
		return
	}
	s.rig.Lock()
	flow := s.flowOf(req.PathValue("workflow_id"))
	var shown object
	if flow != nil {
		shown = flow.show()
	}
	s.rig.Unlock()
	if shown == nil {
		s.fail(w, opGetWorkflow, http.StatusNotFound, "Workflow not found")
		return
	}
	if s.opts.Wrapped {
		shown = object{"data": shown}
	}
	s.reply(w, opGetWorkflow, shown)
}

func (s *Sim) versionNodes(w http.ResponseWriter, req *http.Request, body []byte) {
	if q := s.query(req, body); s.refused(w, opVersionNodes, q) {
		return
	}
	flow, environment := s.versionNamed(req.PathValue("version_id"))
	if flow == nil {
		s.fail(w, opVersionNodes, http.StatusNotFound, "Version not found")
		return
	}
	shown, parent := []object{}, any(nil)
	for _, n := range flow.nodes() {
		one := object{
			"id": flow.nodeIn(n, environment), "persistent_id": n.persistentID(), "version_id": flow.versionOf(environment), "workflow_id": flow.ID,
			"org_id": fixedID(kindOrg, 1), "parent_id": parent, "type": "action", "name": n.name, "timestamp": drafted, "event_id": fixedID(kindEvent, n.number),
		}
		if n.kind == nodeTrigger {
			one["multi_event_behavior"] = flow.MultiEvent
		}
		parent = one["id"]
		shown = append(shown, one)
	}
	s.reply(w, opVersionNodes, object{"data": shown})
}

// versionNamed finds a version by its id or slug.
func (s *Sim) versionNamed(name string) (flow *workflow, environment string) {
	for _, flow := range s.flows {
		for _, environment := range environments {
			if flow.versionOf(environment) == name {
				return flow, environment
			}
		}
		if "v4-"+flow.Slug == name {
			return flow, Production
		}
	}
	return nil, ""
}

// SetLive says in which environments a workflow, by its slug or id, has a live version from
// now on. It panics when there is no such workflow.
func (s *Sim) SetLive(name string, environments ...string) {
	s.rig.Lock()
	defer s.rig.Unlock()
	flow := s.flowOf(name)
	if flow == nil {
		panic("callsim: there is no workflow " + name)
	}
	flow.Environments = slices.Clone(environments)
}

// cancelRuns cancels everything that waits or runs, and takes the workflow off the air
// unless it is told not to.
func (s *Sim) cancelRuns(w http.ResponseWriter, req *http.Request, body []byte) {
	q := s.query(req, nil)
	unpublish := true
	if len(body) > 0 {
		members, ok := s.members(w, req, opCancelRuns, body, "unpublish_workflow")
		if !ok {
			return
		}
		if v, given := members["unpublish_workflow"]; given {
			if unpublish, ok = v.(bool); !ok {
				q.wrong("unpublish_workflow", "must be boolean")
			}
		}
	}
	if s.refused(w, opCancelRuns, q) {
		return
	}
	s.rig.Lock()
	flow := s.flowOf(req.PathValue("workflow_id"))
	var toggled any
	if flow != nil {
		now := s.settle()
		for _, r := range flow.runs {
			if !s.stageOf(r, now).over {
				s.cancel(r, now)
			}
		}
		if unpublish {
			toggled = object{"success": true, "unpublished_version_id": flow.versionOf(Production)}
			flow.Environments = nil
		}
	}
	s.rig.Unlock()
	if flow == nil {
		s.fail(w, opCancelRuns, http.StatusNotFound, "Workflow not found")
		return
	}
	s.reply(w, opCancelRuns, object{"status": "canceled", "workflow_toggle_result": toggled})
}

// columnOf is the flat key of a column: the node and the path in its output.
func columnOf(n node, path string) string { return n.persistentID() + "." + path }
