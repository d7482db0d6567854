package happyrobot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unsafe"

	"github.com/tidwall/gjson"
)

// CreatedCall is the API's answer for a call it created. It has no status. A member that
// is missing or of another type than documented is left zero. Source: page
// dial/create-batched-outbound-calls.
type CreatedCall struct {
	ID             string
	OrganizationID string
	Metadata       CallMetadata
	Created        time.Time
	Raw            json.RawMessage // secrets removed; nil with Options.OmitRaw
}

// UnmarshalJSON reads what can be read. It fails only for what is no object.
func (c *CreatedCall) UnmarshalJSON(b []byte) error {
	if !isObject(b) {
		return errNoObject
	}
	c.read(gjson.ParseBytes(b))
	c.Raw = Redact(bytes.Clone(b))
	return nil
}

// read takes the typed members of an object. A reply holds a kilobyte and more for
// each call, of which this needs little: decoding all of it is most of what a dial
// costs. BenchmarkReadCreatedCalls compares.
func (c *CreatedCall) read(object gjson.Result) {
	*c = CreatedCall{}
	object.ForEach(func(name, value gjson.Result) bool {
		switch name.Str {
		case "id":
			c.ID = strings.Clone(value.Str) // not to keep the whole reply
		case "organization_id":
			c.OrganizationID = strings.Clone(value.Str)
		case memberMetadata:
			c.Metadata.read(value)
		case "created":
			c.Created, _ = time.Parse(time.RFC3339, value.Str)
		}
		return true
	})
}

const opDial = "createOutboundCallsBatched"

// CreateOutboundCalls places calls with one request, POST /dial/outbound-batched, and
// never repeats it. An error of ClassUnknown means that the calls may have been placed;
// after any other but ClassNotSent part of them may exist, since no page says that a
// request is all or nothing.
//
// The calls returned may be in any order, and need not be all: match them by a member
// of Metadata, never by position. The end of ctx cuts the request off, which leaves it
// unknown. Source: page dial/create-batched-outbound-calls.
func (c *Client) CreateOutboundCalls(ctx context.Context, calls []OutboundCall) ([]CreatedCall, error) {
	bodies := make([][]byte, len(calls))
	for i := range calls {
		encoded, err := calls[i].Encode()
		if err != nil {
			return nil, &Error{Op: opDial, Err: fmt.Errorf("encoding the calls: %w", err), notSent: true}
		}
		bodies[i] = encoded.Bytes()
	}
	return c.CreateEncodedCalls(ctx, bodies)
}

// CreateEncodedCalls is CreateOutboundCalls for calls that are encoded already, as
// EncodedCall.Bytes gives them. The bytes are sent as they are, and are not checked.
func (c *Client) CreateEncodedCalls(ctx context.Context, calls [][]byte) ([]CreatedCall, error) {
	size := len("[]")
	for _, call := range calls {
		size += len(call) + len(",")
	}
	body := append(make([]byte, 0, size), '[')
	for i, call := range calls {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, call...)
	}
	body = append(body, ']')
	reply, err := c.once(ctx, request{op: opDial, method: http.MethodPost, path: "/dial/outbound-batched", body: &dialBody{json: body}, limit: maxListBytes, expect: int(c.dialReply.Load())})
	if err != nil {
		return nil, err
	}
	c.dialReply.Store(int64(len(reply)))
	created, err := readCreated(reply, len(calls), !c.opts.OmitRaw)
	if err != nil {
		return nil, &Error{Op: opDial, Status: http.StatusOK, Err: fmt.Errorf("decoding the reply: %w", err)}
	}
	c.baseCheck.good.Store(true)
	return created, nil
}

// readCreated reads the reply to a dial of some calls.
func readCreated(reply []byte, expected int, withRaw bool) ([]CreatedCall, error) {
	if !validJSON(reply) {
		return nil, errNoJSON
	}
	// Without a copy of the reply, which is most of what a dial allocates.
	items := gjson.Parse(unsafe.String(unsafe.SliceData(reply), len(reply))) //nolint:gosec // the reply is not changed any more
	if !items.IsArray() {
		return nil, fmt.Errorf("%w: no list of calls", ErrOtherForm)
	}
	created := make([]CreatedCall, 0, expected)
	items.ForEach(func(_, item gjson.Result) bool {
		if !item.IsObject() { // an odd item must not lose its neighbours
			return true
		}
		var one CreatedCall
		one.read(item)
		if withRaw {
			one.Raw = Redact([]byte(item.Raw))
		}
		created = append(created, one)
		return true
	})
	return created, nil
}
