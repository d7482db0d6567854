package happyrobot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Arguments of an operation. The API's description, resources/openapi, says what each
// operation takes; only the parameters of the path are checked.
type Arguments struct {
	Path  map[string]string // by parameter, unescaped; all that the path has, and no others
	Query url.Values
	Body  json.RawMessage // nil for none
}

// Do calls an operation and returns its answer, with the secrets removed; nil for an
// empty one. It refuses operations that place calls.
//
// A read is repeated until it is answered. Anything else is repeated only when it was
// certainly not processed, see Class.Repeatable, and is not cut off by the end of ctx
// once the rate limit let it through. A FieldError is an argument that is not as the
// operation wants it.
func (c *Client) Do(ctx context.Context, op Operation, args Arguments) (json.RawMessage, error) {
	if op.PlacesCalls() {
		return nil, fmt.Errorf("%s: places calls, which needs a ledger", op.ID)
	}
	path, err := op.expand(args.Path)
	if err != nil {
		return nil, err
	}
	r := request{op: op.ID, method: op.Method, path: path, query: args.Query, limit: maxListBytes}
	if op.Method != http.MethodGet {
		r.uncut = true
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
