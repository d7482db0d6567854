package happyrobot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// baseCheck tells a base URL that leads nowhere from an object that the API does not
// know: both are answered alike, as with 404. Until the API has answered something, the
// list of calls decides, which is always there.
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

// checkBase asks for the list of calls, unless the API was met before, or somebody has
// asked since the answer came. It returns nil if the base URL is right, and otherwise an
// error in place of that of the answer: of a wrong setup, or why nobody knows.
func (c *Client) checkBase(ctx context.Context, of *Error) error {
	b, answered := c.baseCheck, time.Now()
	if b.good.Load() {
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
		b.wrong = c.askForList(ctx)
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
		"neither this nor the list of calls is at base_url %s (%w); check base_url, which ends with /api/v1", c.base, b.wrong)}
}

// askForList makes the smallest request that a right base URL answers.
func (c *Client) askForList(ctx context.Context) error {
	var page struct{}
	return c.read(ctx, request{op: opListCalls, path: "/calls", query: url.Values{"limit": {"1"}}, limit: maxListBytes, single: true}, &page)
}

// LeadsNowhere reports whether there is no API at the base URL, by the errors of a dial and
// of a list that was asked for after it: both were answered alike, as what has a wrong setup,
// and no request of either client ever had a good answer.
func LeadsNowhere(dial, list error) bool {
	var d, l *Error
	return errors.As(dial, &d) && errors.As(list, &l) && d.unmet && l.unmet &&
		d.Status == l.Status && d.Class() == ClassSetup && l.Class() == ClassSetup
}

const opListCalls = "listCalls"

// isList reports whether an operation is that of the list of calls, which has no object
// that could be missing.
func isList(op Operation) bool { return op.ID == opListCalls && op.Method == http.MethodGet }
