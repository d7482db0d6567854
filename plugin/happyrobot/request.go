package happyrobot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// Requester makes the requests of a client for another API of HappyRobot's, such as that
// of package platform, as Client makes those of v1: with the same limits, repetitions,
// classes of answers and errors. Safe for concurrent use.
type Requester struct{ client *Client }

// NewRequester makes a requester. It makes no request. An error names the option that
// cannot be used, and never its value. Options.APIKeys may give no key: then none is sent.
func NewRequester(opts Options) (*Requester, error) {
	client, err := New(opts)
	if err != nil {
		return nil, err
	}
	return &Requester{client: client}, nil
}

// Request is one request of an operation.
type Request struct {
	Operation Operation
	Path      map[string]string // as in Arguments
	Query     url.Values
	Body      json.RawMessage // nil for none
	Once      bool            // a read is not repeated
	KeyIn     string          // the header that has the key, bare; empty for Authorization, as a bearer token

	// Read reads the body of an answer that says success. An error of it that is not
	// json's wraps ErrOtherForm, and says nothing of what the answer holds.
	Read func(reply []byte) error
}

// Perform makes a request. One that places calls or starts runs is made once, and the end
// of ctx cuts it off. A read is repeated until it is answered and read, and anything else
// only when it was certainly not processed: see Client.Do. The errors are those of a
// Client's methods.
func (r *Requester) Perform(ctx context.Context, of Request) error {
	path, err := of.Operation.expand(of.Path)
	if err != nil {
		return err
	}
	made := request{op: of.Operation.ID, method: of.Operation.Method, path: path, query: of.Query, keyIn: of.KeyIn, limit: maxListBytes, single: of.Once}
	if of.Body != nil {
		made.body = &dialBody{json: of.Body}
	}
	if !of.Operation.PlacesCalls() {
		made.uncut = of.Operation.Changes()
		return r.client.repeat(ctx, made, of.Read)
	}
	reply, err := r.client.once(ctx, made)
	if err != nil {
		return err
	}
	if err := of.Read(reply); err != nil {
		return &Error{Op: made.op, Status: http.StatusOK, Err: fmt.Errorf("decoding the reply: %w", decodeError(reply, err))}
	}
	r.client.baseCheck.good.Store(true)
	return nil
}
