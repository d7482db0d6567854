package happyrobot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// One operation of each kind.
const (
	aDial   = "createOutboundCallsBatched"
	aChange = "addNote"
	aRead   = "getCall"
	theList = "listCalls"
)

// statuses are a range of them, written out once more: the table must not be tested against itself.
type statuses struct{ from, to int }

func statusesOf(spans ...statuses) (all []int) {
	for _, s := range spans {
		for status := s.from; status <= s.to; status++ {
			all = append(all, status)
		}
	}
	return all
}

func one(status int) statuses { return statuses{status, status} }

// refusedOfOthers are the statuses with which a change and a read are refused.
func refusedOfOthers() []int {
	return append(statusesOf(statuses{300, 400}, statuses{405, 406}, statuses{409, 420}, statuses{422, 424}, statuses{427, 428}, statuses{432, 499}), 430)
}

func TestEachStatusMeansWhatTheTableSays(t *testing.T) {
	for op, want := range map[string]map[Class][]int{
		aDial: {
			ClassSetup:     append(statusesOf(statuses{300, 399}, statuses{401, 407}), 411, 415, 421, 426, 428, 431),
			ClassThrottled: {425, 429},
			ClassRefused:   append(statusesOf(statuses{409, 410}, statuses{412, 414}, statuses{416, 420}, statuses{422, 424}, statuses{432, 499}), 400, 427, 430),
			ClassUnknown:   statusesOf(statuses{-1, 299}, one(408), statuses{500, 600}),
		},
		aChange: {
			ClassSetup:     {401, 402, 403, 407, 421, 426, 431},
			ClassNotFound:  {404},
			ClassThrottled: {425, 429},
			ClassRefused:   refusedOfOthers(),
			ClassUnknown:   statusesOf(statuses{-1, 299}, one(408), statuses{500, 600}),
		},
		aRead: {
			ClassSetup:     {401, 402, 403, 407, 421, 426, 431},
			ClassNotFound:  {404},
			ClassThrottled: {425, 429},
			ClassSlow:      {408},
			ClassRefused:   refusedOfOthers(),
			ClassOutage:    statusesOf(one(0), statuses{200, 299}, statuses{500, 600}),
			ClassUnknown:   statusesOf(one(-1), statuses{1, 199}),
		},
	} {
		seen := 0
		for class, all := range want {
			for _, status := range all {
				seen++
				assert.Equal(t, class, (&Error{Op: op, Status: status}).Class(), "%s: status %d", op, status)
				assert.Equal(t, class, ClassOf(fmt.Errorf("wrapped: %w", &Error{Op: op, Status: status})), "%s: status %d, wrapped", op, status)
			}
		}
		assert.Equal(t, 602, seen, "%s: every status from -1 to 600, once", op)
	}
}

func TestWhatHasNoStatusHasAClassToo(t *testing.T) {
	for op, want := range map[string][3]Class{
		aDial:             {ClassNotSent, ClassUnknown, ClassUnknown},
		"of unknown kind": {ClassNotSent, ClassUnknown, ClassUnknown},
		aChange:           {ClassNotSent, ClassUnknown, ClassUnknown},
		aRead:             {ClassOutage, ClassOutage, ClassTooLarge},
	} {
		assert.Equal(t, want[0], (&Error{Op: op, notSent: true, Err: errors.New("refused")}).Class(), op)
		assert.Equal(t, want[1], (&Error{Op: op, Err: errors.New("reset")}).Class(), op)
		assert.Equal(t, want[2], (&Error{Op: op, Status: 200, Err: fmt.Errorf("reading: %w", errTooLarge)}).Class(), op)
	}
	for _, other := range []error{ErrOtherForm, errOtherCall, errNoCall, errNoObject} {
		assert.Equal(t, ClassUnreadable, (&Error{Op: aRead, Status: 200, Err: fmt.Errorf("decoding: %w", other)}).Class())
		assert.Equal(t, ClassUnknown, (&Error{Op: aDial, Status: 200, Err: fmt.Errorf("decoding: %w", other)}).Class())
	}
	assert.Equal(t, ClassOutage, (&Error{Op: aRead, Status: 200, Err: errNoJSON}).Class())
	for _, status := range append(statusesOf(statuses{300, 399}, statuses{401, 407}), 411, 415, 421, 426, 428, 431) {
		assert.Equal(t, ClassSetup, (&Error{Op: theList, Status: status}).Class(), "the list is always there: status %d", status)
	}
	assert.Equal(t, ClassRefused, (&Error{Op: theList, Status: 422}).Class())
	assert.Equal(t, ClassAnswered, ClassOf(nil))
	assert.Equal(t, ClassOther, ClassOf(&FieldError{"path.id", "is missing"}))
	assert.Equal(t, ClassOther, ClassOf(fmt.Errorf("listCalls: %w", context.Canceled)))
}

// What is done about an answer, status by status.
func TestWhatIsDoneFollowsFromTheClass(t *testing.T) {
	for what, tc := range map[string]struct {
		holds func(*Error) bool
		op    string
		want  []int
	}{
		"a read is repeated":       {func(e *Error) bool { return e.Class().Repeatable() }, aRead, append(statusesOf(one(0), statuses{200, 299}, statuses{401, 403}, statuses{407, 408}, statuses{425, 426}, statuses{500, 600}), 421, 429, 431)},
		"a change is repeated":     {func(e *Error) bool { return e.Class().Repeatable() }, aChange, []int{401, 402, 403, 407, 421, 425, 426, 429, 431}},
		"a change may be done":     {func(e *Error) bool { return e.Class() == ClassUnknown }, aChange, statusesOf(statuses{-1, 299}, one(408), statuses{500, 600})},
		"a dial may be done":       {func(e *Error) bool { return e.Class() == ClassUnknown }, aDial, statusesOf(statuses{-1, 299}, one(408), statuses{500, 600})},
		"the API only declines":    {func(e *Error) bool { return e.Class().Declined() }, aRead, statusesOf(statuses{300, 499})},
		"others may be read":       {func(e *Error) bool { return e.Class().OfThisRequest() }, aRead, append(refusedOfOthers(), 404)},
		"a read is not readable":   {func(e *Error) bool { return IsUnreadable(e) }, aRead, statusesOf(statuses{200, 299})},
		"a change is not readable": {func(e *Error) bool { return IsUnreadable(e) }, aChange, statusesOf(statuses{200, 299})},
		"a read is not found":      {func(e *Error) bool { return IsNotFound(e) }, aRead, []int{404}},
		"nobody is let in":         {func(e *Error) bool { return IsNotLetIn(e) }, theList, statusesOf(statuses{300, 399}, statuses{401, 403})},
		"a dial is not found":      {func(e *Error) bool { return IsNotFound(e) }, aDial, []int{404}},
	} {
		for status := -1; status <= 600; status++ {
			assert.Equal(t, slices.Contains(tc.want, status), tc.holds(&Error{Op: tc.op, Status: status}), "%s: status %d", what, status)
		}
	}
	never := Error{notSent: true}
	for _, op := range []string{aDial, aChange, aRead} {
		never.Op = op
		assert.True(t, never.Class().Repeatable(), op)
		assert.False(t, never.Class().Declined(), op)
		assert.False(t, never.Class().OfThisRequest(), op)
	}
	assert.True(t, ClassOf(&FieldError{}).OfThisRequest())
	assert.False(t, ClassOf(context.Canceled).Declined())
	assert.False(t, IsUnreadable(nil))
}

// A class is found by the operation, so every error must name one.
func TestEveryRequestNamesItsOperation(t *testing.T) {
	for _, op := range []string{aDial, "listCalls", "getCall", "getTranscript", "getRecordingUrl", "getCallLogs"} {
		_, known := FindOperation(op)
		assert.True(t, known, op)
	}
}
