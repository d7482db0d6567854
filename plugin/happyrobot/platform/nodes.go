package platform

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// RunNode is one node that ran.
type RunNode struct {
	OutputID     string
	RunID        string
	NodeID       string
	PersistentID string // stays when the workflow is published anew
	Name         string
	Type         string
	Status       string // an open word, such as succeeded
	Error        string // the API's own words, which may quote a lead
	Created      time.Time
	Raw          json.RawMessage // secrets removed
}

// UnmarshalJSON reads what can be read. It fails only for what is no object.
func (n *RunNode) UnmarshalJSON(b []byte) error {
	*n = RunNode{}
	err := members(b, func(name string, v gjson.Result) {
		switch name {
		case "output_id":
			n.OutputID = text(v)
		case "run_id":
			n.RunID = text(v)
		case "node_id":
			n.NodeID = text(v)
		case "node_persistent_id":
			n.PersistentID = text(v)
		case "name":
			n.Name = text(v)
		case "node_type":
			n.Type = text(v)
		case "status":
			n.Status = text(v)
		case "error":
			n.Error = text(v)
		case "timestamp":
			n.Created = moment(v)
		}
	})
	if err == nil {
		n.Raw = kept(b)
	}
	return err
}

// ListRunNodes reads which nodes of a run ran, in their order, GET /runs/{run_id}/nodes, and
// repeats that until it is answered. A persistent id narrows it to one node; empty is all.
// An answer about another run is unreadable.
func (c *Client) ListRunNodes(ctx context.Context, run, persistentID string) (nodes []RunNode, err error) {
	query := url.Values{}
	if persistentID != "" {
		query.Set("node_persistent_id", persistentID)
	}
	err = c.get(ctx, "listRunNodes", map[string]string{"run_id": run}, query, func(body []byte) error {
		page, err := readPage(body, func(item []byte) (n RunNode, err error) {
			if n.UnmarshalJSON(item) != nil {
				return RunNode{Raw: kept(item)}, nil
			}
			if !same(n.RunID, run) {
				err = errOther
			}
			return n, err
		})
		nodes = page.Items
		return err
	})
	if err != nil {
		return nil, err
	}
	return nodes, nil
}

// NodeOutput is what one node of a run produced.
type NodeOutput struct {
	ID           string
	RunID        string
	NodeID       string
	PersistentID string
	SessionID    string
	Name         string
	Type         string
	Status       string
	Error        string // the API's own words, which may quote a lead
	Deleted      bool   // retention took the data
	Created      time.Time

	// Data is what it produced: the fields of an extraction under response, and of a
	// trigger what was posted. Nil for none. Secrets removed.
	Data json.RawMessage
	Raw  json.RawMessage // secrets removed
}

// UnmarshalJSON reads what can be read. It fails only for what is no object.
func (o *NodeOutput) UnmarshalJSON(b []byte) error {
	*o = NodeOutput{}
	err := members(b, func(name string, v gjson.Result) {
		switch name {
		case "id":
			o.ID = text(v)
		case "run_id":
			o.RunID = text(v)
		case "node_id":
			o.NodeID = text(v)
		case "node_persistent_id":
			o.PersistentID = text(v)
		case "session_id":
			o.SessionID = text(v)
		case "name":
			o.Name = text(v)
		case "node_type":
			o.Type = text(v)
		case "status":
			o.Status = text(v)
		case "error":
			o.Error = text(v)
		case "data_deleted":
			o.Deleted = truth(v)
		case "timestamp":
			o.Created = moment(v)
		case "data":
			if v.Type != gjson.Null {
				o.Data = kept([]byte(v.Raw))
			}
		}
	})
	if err == nil {
		o.Raw = kept(b)
	}
	return err
}

// Value is what users mean by the output: the member response of Data, or else all of it.
// Nil for none.
func (o NodeOutput) Value() json.RawMessage {
	if response := gjson.GetBytes(o.Data, "response"); response.Exists() && response.Type != gjson.Null {
		return json.RawMessage(response.Raw)
	}
	return o.Data
}

// GetRunOutput reads what a node produced, GET /runs/{run_id}/outputs/{output_id}, and
// repeats that until it is answered. An answer about another output or run is unreadable.
func (c *Client) GetRunOutput(ctx context.Context, run, output string) (found NodeOutput, err error) {
	err = c.get(ctx, "getRunOutput", map[string]string{"run_id": run, "output_id": output}, nil, func(body []byte) error {
		if err := members(body, func(string, gjson.Result) {}); err != nil {
			return err
		}
		// An output has a member data itself, so it is one where it says whose it is.
		answer := gjson.ParseBytes(body)
		if !answer.Get("id").Exists() && !answer.Get("run_id").Exists() {
			if answer = answer.Get("data"); !answer.IsObject() {
				return errNoObject
			}
		}
		if err := found.UnmarshalJSON([]byte(answer.Raw)); err != nil {
			return err
		}
		switch {
		case !same(found.ID, output) || !same(found.RunID, run):
			return errOther
		case found.ID == "" && found.Status == "" && found.Data == nil:
			return errNoID
		}
		return nil
	})
	if err != nil {
		return NodeOutput{}, err
	}
	found.ID, found.RunID = output, run
	return found, nil
}

// FindNodes are the nodes with a name or a persistent id, as they ran: a node in a loop ran
// several times, and names need not be unique.
func FindNodes(nodes []RunNode, nameOrID string) (found []RunNode) {
	for _, n := range nodes {
		if n.OutputID != "" && (n.Name == nameOrID || n.PersistentID != "" && same(n.PersistentID, nameOrID)) {
			found = append(found, n)
		}
	}
	return found
}

// Outputs reads the outputs of nodes of a run by name or persistent id, as NodeOutput.Value
// gives them. Of a node that ran several times it is the last one. A node that did not run
// is absent. It makes one request, and one for each node that is found. The end of a session
// is not that of its run: an extraction that is absent may come.
func (c *Client) Outputs(ctx context.Context, run string, namesOrIDs []string) (map[string]json.RawMessage, error) {
	nodes, err := c.ListRunNodes(ctx, run, "")
	if err != nil {
		return nil, err
	}
	outputs := map[string]json.RawMessage{}
	for _, name := range namesOrIDs {
		found := FindNodes(nodes, name)
		if len(found) == 0 {
			continue
		}
		output, err := c.GetRunOutput(ctx, run, found[len(found)-1].OutputID)
		switch {
		case happyrobot.IsNotFound(err):
			continue
		case err != nil:
			return nil, err
		}
		outputs[name] = output.Value()
	}
	return outputs, nil
}
