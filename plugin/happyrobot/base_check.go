package happyrobot

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"
	"time"
)

// baseCheck tells a base URL that leads nowhere from an object that the API does not
// know: both are answered alike, as with 404. Until the API has answered something, a
// read decides whose object is always there: see alwaysThere.
type baseCheck struct {
	good atomic.Bool   // the API was met at the base URL
	turn chan struct{} // holds one token, whose owner asks

	// Of the last time that the list was asked for. They belong to the token's owner.
	asked time.Time
	wrong error
}

func newBaseCheck() *baseCheck {
	b := &baseCheck{turn: make(chan struct{}, 1)}
	b.turn <- struct{}{}
	return b
}

// mayBeMistaken says whether an answer could be that of a wrong base URL: one that blames
// what was asked for, where a dial takes it for a wrong setup.
func (e *Error) mayBeMistaken() bool {
	c := e.Class()
	return (c == ClassNotFound || c == ClassRefused) && e.meaning().dial == ClassSetup
}

// checkBase asks for what is always there, unless the API was met before, or somebody has
// asked since the answer came. It returns nil if the base URL is right, and otherwise an
// error in place of that of the answer: of a wrong setup, or why nobody knows.
func (c *Client) checkBase(ctx context.Context, of *Error) error {
	b, answered := c.baseCheck, time.Now()
	there, known := alwaysThereOf(of.Op)
	if !known || b.good.Load() {
		return nil
	}
	select {
	case <-b.turn:
		defer func() { b.turn <- struct{}{} }()
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", of.Op, context.Cause(ctx))
	}
	if b.good.Load() {
		return nil
	}
	if !b.asked.After(answered) {
		b.asked = time.Now()
		b.wrong = c.askFor(ctx, there)
	}
	var e *Error
	if !errors.As(b.wrong, &e) {
		return b.wrong // nil, or ctx has ended
	}
	switch c := e.Class(); {
	case e.keyRefused():
		return b.wrong // which is a wrong setup, too, and says what of
	case !e.success() && (c == ClassUnknown || c == ClassThrottled || c == ClassSlow || c == ClassOutage):
		return b.wrong // it could not be asked
	}
	return &Error{Op: of.Op, Status: of.Status, setup: true, Err: fmt.Errorf(
		"neither this nor %s is at base_url %s (%w); check base_url, which ends with %s", there.name, c.base, b.wrong, there.tail)}
}

// alwaysThere is the smallest request that a right base URL answers.
type alwaysThere struct {
	request    request
	name, tail string // what is asked for, and how such a base URL ends
}

// alwaysThereOf is that of the API of an operation, where one is known.
func alwaysThereOf(op string) (there alwaysThere, known bool) {
	o, _ := FindOperation(op)
	switch o.API {
	case PlatformV1:
		return there, false
	case Platform:
		// Every key may read what it is. The list of workflows needs a grant.
		return alwaysThere{request{op: opDescribeAPIKey, path: "/api-key/describe", limit: maxReplyBytes, single: true}, "the description of the key", "/api/v2"}, true
	}
	return alwaysThere{request{op: opListCalls, path: "/calls", query: url.Values{"limit": {"1"}}, limit: maxListBytes, single: true}, "the list of calls", "/api/v1"}, true
}

func (c *Client) askFor(ctx context.Context, there alwaysThere) error {
	var object struct{}
	return c.read(ctx, there.request, &object)
}

// LeadsNowhere reports whether there is no API at the base URL, by the errors of a dial and
// of a list that was asked for after it: both were answered alike, as what has a wrong setup,
// and no request of either client ever had a good answer.
func LeadsNowhere(dial, list error) bool {
	var d, l *Error
	return errors.As(dial, &d) && errors.As(list, &l) && d.unmet && l.unmet &&
		d.Status == l.Status && d.Class() == ClassSetup && l.Class() == ClassSetup
}

const (
	opListCalls      = "listCalls"
	opDescribeAPIKey = "describeApiKey"
)

// isAlwaysThere reports whether an operation reads what cannot be missing.
func isAlwaysThere(op Operation) bool {
	return (op.ID == opListCalls || op.ID == opDescribeAPIKey) && !op.Changes()
}
