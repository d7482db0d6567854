package dialer

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFailuresTextIsReadBack(t *testing.T) {
	details := []string{"phone_number: is missing", "", "a; b", "a=b", "two\nlines\r\nand a third", "; ", "status 422: refused: rejected: again: and again",
		`says "no"; really`, "; call_id", "x; call_id= http_status=422", "ü · 電話"}
	for _, known := range []Error{
		{},
		{CallID: "65ee00000000000000000101"},
		{HTTPStatus: 422},
		{RunID: "00000000-0000-7006-8000-000000000001", HTTPStatus: 200},
		{CallID: `a "b" c; http_status=500`, HTTPStatus: 409},
		{Rule: "US federal", NextAllowed: "2026-03-10T15:30:00Z"},
		{CallID: "`a`", HTTPStatus: 599, Rule: "us=1\n", NextAllowed: "2026-03-10T15:30:00Z"},
	} {
		for _, outcome := range []Outcome{Rejected, Held} {
			for _, text := range details {
				e := known
				e.Outcome, e.Reason, e.Err = outcome, "some_reason2", errors.New(text)
				for _, prefix := range []string{"", "rejecting due to failed processing: ", "output x: rejected due to failed processing: "} {
					for _, suffix := range []string{"", "\n"} {
						got, err := ParseError(prefix + e.Error() + suffix)
						require.NoError(t, err, e.Error())
						assert.Equal(t, &e, got)
					}
				}
			}
		}
	}
}

func TestAFailuresTextBeginsAsItAlwaysDid(t *testing.T) {
	e := Error{Outcome: Rejected, Reason: ReasonRefused, HTTPStatus: 422, CallID: "65ee00000000000000000101", Err: errors.New("createOutboundCallsBatched: status 422")}
	assert.Equal(t, "rejected: refused: createOutboundCallsBatched: status 422; call_id=65ee00000000000000000101 http_status=422", e.Error())
	e = Error{Outcome: Conflict, Reason: ReasonConflict, Err: errors.New("used")}
	assert.Equal(t, "conflict: dedupe_conflict: used", e.Error())
}

// What details hold is not taken for what is known besides, where that follows.
func TestDetailsThatLookLikeFactsStayDetails(t *testing.T) {
	e := Error{Outcome: Rejected, Reason: ReasonRefused, HTTPStatus: 422, Err: errors.New("no; call_id=65ee00000000000000000199 http_status=500")}
	got, err := ParseError(e.Error())
	require.NoError(t, err)
	assert.Equal(t, &e, got)
}

func TestOtherTextIsNoFailure(t *testing.T) {
	for _, text := range []string{"", "context canceled", "rejected", "rejected: ", "rejected: no reason", "held:unknown: x", "delivered: x: y",
		"not_found: not_found: getCall: status 404", "rejected: due to failed processing: x", "Rejected: refused: x", "unrejected: refused: x"} {
		_, err := ParseError(text)
		assert.Error(t, err, text)
	}
}
