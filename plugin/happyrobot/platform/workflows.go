package platform

import (
	"context"
	"encoding/json"
	"regexp"
	"time"

	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Workflow is what runs are made of. Latest is its live version, or else its newest one.
type Workflow struct {
	ID      string
	OrgID   string
	Name    string
	Slug    string
	Created time.Time
	Latest  *Version        // nil for none
	Raw     json.RawMessage // secrets removed
}

// Version is one state of a workflow. It is published into environments.
type Version struct {
	ID          string
	Name        string
	Slug        string
	Number      int
	Published   bool
	Live        bool
	Environment Environment // of the publication; empty when the API does not say
	Engine      int         // 2 or 3; 0 when the API does not say
	PublishedAt time.Time
	Created     time.Time
}

// UnmarshalJSON reads what can be read. It fails only for what is no object.
func (w *Workflow) UnmarshalJSON(b []byte) error {
	*w = Workflow{}
	err := members(b, func(name string, v gjson.Result) {
		switch name {
		case "id":
			w.ID = text(v)
		case "org_id":
			w.OrgID = text(v)
		case "name":
			w.Name = text(v)
		case "slug":
			w.Slug = text(v)
		case "timestamp":
			w.Created = moment(v)
		case "latest_version":
			if v.IsObject() {
				w.Latest = readVersion(v)
			}
		}
	})
	if err == nil {
		w.Raw = kept(b)
	}
	return err
}

func readVersion(object gjson.Result) *Version {
	version := &Version{}
	object.ForEach(func(name, v gjson.Result) bool {
		switch name.Str {
		case "id":
			version.ID = text(v)
		case "name":
			version.Name = text(v)
		case "slug":
			version.Slug = text(v)
		case "version_number":
			version.Number, _ = whole(v)
		case "is_published":
			version.Published = truth(v)
		case "is_live":
			version.Live = truth(v)
		case "environment":
			version.Environment = Environment(text(v))
		case "workflow_version":
			version.Engine, _ = whole(v)
		case "published_at":
			version.PublishedAt = moment(v)
		case "timestamp":
			version.Created = moment(v)
		}
		return true
	})
	return version
}

// Liveness says whether a version of a workflow is live in an environment.
type Liveness string

// What can be told. The API names one version, which may be live elsewhere only, and then
// nobody knows of the other environments.
const (
	Live    Liveness = "live"
	NotLive Liveness = "not_live"
	NotTold Liveness = "not_told"
)

// LiveIn says whether a version is live in an environment, as far as can be told.
func (w Workflow) LiveIn(environment Environment) Liveness {
	if environment == "" {
		environment = Production
	}
	switch v := w.Latest; {
	case v == nil, !v.Live && !v.Published:
		return NotLive // the API names the live version if there is one
	case v.Live && v.Environment.Is(environment):
		return Live
	default:
		return NotTold
	}
}

// GetWorkflow reads a workflow, by UUID or slug, GET /workflows/{workflow_id}, and repeats
// that until it is answered. For one that the API does not know, or that the key may not
// see, happyrobot.IsNotFound holds. An answer about another workflow is unreadable.
func (c *Client) GetWorkflow(ctx context.Context, idOrSlug string) (w Workflow, err error) {
	err = c.workflow(ctx, idOrSlug, false, &w)
	return w, err
}

// uuid tells an id from a slug.
var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func (c *Client) workflow(ctx context.Context, idOrSlug string, once bool, w *Workflow) error {
	err := c.requester.Perform(ctx, happyrobot.Request{
		Operation: operation("getWorkflow"), Path: map[string]string{"workflow_id": idOrSlug}, Once: once,
		Read: func(body []byte) error {
			if err := json.Unmarshal(body, w); err != nil {
				return err
			}
			if w.ID == "" {
				if inner := unwrapped(body); len(inner) < len(body) {
					if err := json.Unmarshal(inner, w); err != nil {
						return err
					}
				}
			}
			switch {
			case w.ID == "" && w.Slug == "":
				return errNoID
			case uuid.MatchString(idOrSlug) && !same(w.ID, idOrSlug), !same(w.ID, idOrSlug) && !same(w.Slug, idOrSlug):
				return errOther
			}
			return nil
		},
	})
	if err != nil {
		*w = Workflow{}
	}
	return err
}

// VersionNode is a node of a version of a workflow.
type VersionNode struct {
	ID           string
	PersistentID string // stays when the workflow is published anew: runs name it
	VersionID    string
	WorkflowID   string
	ParentID     string // empty for the trigger
	Type         string // an open word: action, prompt, tool, condition, path, loop
	Name         string
	EventID      string

	// MultiEvent is what the trigger does with several events: parallel, sequential, or
	// group, which puts several into one run. Empty when the API does not say.
	MultiEvent string
	Created    time.Time
	Raw        json.RawMessage // secrets removed
}

// UnmarshalJSON reads what can be read. It fails only for what is no object.
func (n *VersionNode) UnmarshalJSON(b []byte) error {
	*n = VersionNode{}
	err := members(b, func(name string, v gjson.Result) {
		switch name {
		case "id":
			n.ID = text(v)
		case "persistent_id":
			n.PersistentID = text(v)
		case "version_id":
			n.VersionID = text(v)
		case "workflow_id":
			n.WorkflowID = text(v)
		case "parent_id":
			n.ParentID = text(v)
		case "type":
			n.Type = text(v)
		case "name":
			n.Name = text(v)
		case "event_id":
			n.EventID = text(v)
		case "multi_event_behavior":
			n.MultiEvent = text(v)
		case "timestamp":
			n.Created = moment(v)
		}
	})
	if err == nil {
		n.Raw = kept(b)
	}
	return err
}

// Groups reports whether the trigger puts several events into one run, so that one lead
// would not be one run.
func (n VersionNode) Groups() bool { return folded(n.MultiEvent) == "group" }

// ListVersionNodes reads the nodes of a version, by UUID or slug, GET
// /versions/{version_id}/nodes, and repeats that until it is answered.
func (c *Client) ListVersionNodes(ctx context.Context, version string) (nodes []VersionNode, err error) {
	err = c.get(ctx, "listVersionNodes", map[string]string{"version_id": version}, nil, func(body []byte) error {
		page, err := readPage(body, func(item []byte) (n VersionNode, _ error) {
			if n.UnmarshalJSON(item) != nil {
				n = VersionNode{Raw: kept(item)}
			}
			return n, nil
		})
		nodes = page.Items
		return err
	})
	if err != nil {
		return nil, err
	}
	return nodes, nil
}

// FindTrigger is the trigger of a version: the node without a parent, where exactly one has
// none. That this is the trigger is inferred.
func FindTrigger(nodes []VersionNode) (trigger VersionNode, ok bool) {
	for _, n := range nodes {
		if n.ID == "" || n.ParentID != "" {
			continue
		}
		if ok {
			return VersionNode{}, false
		}
		trigger, ok = n, true
	}
	return trigger, ok
}
