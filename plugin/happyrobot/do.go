package happyrobot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/Jeffail/gabs/v2"
)

// Arguments of an operation. The API's description, resources/openapi, says what each
// operation takes; only the parameters of the path are checked.
type Arguments struct {
	Path  map[string]string // by parameter, unescaped; all that the path has, and no others
	Query url.Values
	Body  json.RawMessage // nil for none
}

// Do calls an operation and returns its answer, with the secrets removed; nil for an
// empty one. It refuses operations that have a Refusal, and places by RefusedPaths. The body
// of what changes a workflow is completed: see cancelBody.
//
// A read is repeated until it is answered. Anything else is repeated only when it was
// certainly not processed, see Class.Repeatable, and is not cut off by the end of ctx
// once the rate limit let it through. A FieldError is an argument that is not as the
// operation wants it.
func (c *Client) Do(ctx context.Context, op Operation, args Arguments) (json.RawMessage, error) {
	if why := op.Refusal(); why != "" {
		return nil, fmt.Errorf("%s %s", op.ID, why)
	}
	path, err := op.expand(args.Path)
	if err != nil {
		return nil, err
	}
	unescaped, err := url.PathUnescape(path)
	if err != nil {
		return nil, &FieldError{"path", "cannot be read"}
	}
	if why := op.refusesPlace(c.base, unescaped); why != "" {
		return nil, &FieldError{"path", "must not become, below base_url, a path that " + why}
	}
	r := request{op: op.ID, method: op.Method, path: path, query: args.Query, limit: maxListBytes}
	if op.Changes() {
		r.uncut = true
		if mayUnpublish(c.base + path) {
			if args.Body, err = cancelBody(args.Body); err != nil {
				return nil, err
			}
		}
		if args.Body != nil {
			r.body = &dialBody{json: args.Body}
		}
	} else if args.Body != nil {
		return nil, &FieldError{"body", "must be absent: " + op.ID + " only reads"}
	}
	var reply json.RawMessage
	err = c.repeat(ctx, r, func(body []byte) error {
		if len(bytes.TrimSpace(body)) == 0 {
			return nil // documented of setCallRating
		}
		if err := json.Unmarshal(body, &reply); err != nil {
			return err
		}
		reply = Redact(reply)
		return nil
	})
	return reply, err
}

// mayUnpublish says whether what is changed may be a workflow, so that it may be taken off
// the air with its runs: by the URL, since an operation can be led elsewhere.
func mayUnpublish(target string) bool {
	target = strings.ToLower(target)
	return strings.Contains(target, "/workflows/") || strings.Contains(target[strings.LastIndex(target, "/")+1:], "cancel-run")
}

// unpublishes is the member that decides whether a workflow goes off the air when all
// of its runs are canceled. The API takes it off where the member is missing.
const unpublishes = "unpublish_workflow"

// cancelBody is a body that takes the workflow off the air only if it says so itself.
func cancelBody(body json.RawMessage) (json.RawMessage, error) {
	whole := gabs.New()
	if len(body) > 0 {
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.UseNumber()
		var err error
		if whole, err = gabs.ParseJSONDecoder(dec); err != nil {
			return nil, &FieldError{"body", "must be JSON"}
		}
	}
	switch whole.Data().(type) {
	case nil:
		whole = gabs.Wrap(map[string]any{})
	case map[string]any:
	default:
		return nil, &FieldError{"body", "must be an object"}
	}
	switch whole.Search(unpublishes).Data().(type) {
	case bool:
		return body, nil
	case nil:
	default:
		return nil, &FieldError{"body." + unpublishes, "must be true or false"}
	}
	if _, err := whole.Set(false, unpublishes); err != nil {
		return nil, &FieldError{"body", "must be an object"}
	}
	return whole.Bytes(), nil
}
