package happyrobot

import (
	"errors"
	"math"
	"net/http"
)

// Class is what the answer to a request means, or the lack of one. It is decided here and
// nowhere else: see the table below.
type Class string

// Classes of answers.
const (
	ClassAnswered Class = "answered" // a reply that could be read
	// ClassNotSent is a request that certainly had no effect: the connection was refused,
	// the name or the certificate was not good, the time ran out first, or a connection
	// broke before any of the request's body was handed to it.
	ClassNotSent    Class = "not_sent"
	ClassThrottled  Class = "throttled"  // the API asks to slow down
	ClassSetup      Class = "setup"      // the key, the account or the URL is wrong, not what was asked
	ClassRefused    Class = "refused"    // the API does not want this request
	ClassNotFound   Class = "not_found"  // of a read or a change: the API does not know the object
	ClassUnknown    Class = "unknown"    // the request may have been processed, and no answer says so
	ClassOutage     Class = "outage"     // of a read: no answer, one that says that the API is broken, or a 2xx that is no JSON or cut short
	ClassSlow       Class = "slow"       // of a read: the API, or a proxy before it, gave up waiting
	ClassUnreadable Class = "unreadable" // of a read: a 2xx whose JSON is about another call, or of another form
	ClassTooLarge   Class = "too_large"  // of a read: a 2xx that is larger than any reply should be

	// ClassOther is an error that holds no *Error: an invalid argument, or a context that
	// ended while a read or a change was repeated.
	ClassOther Class = "other"
)

// meaning is what an answer means for each of the three kinds of requests. A dial is
// one that places calls; a change is any other that is no GET.
type meaning struct{ dial, change, read Class }

// Answers whose meaning is no question of the status.
var (
	//                       a dial          a change        a read
	didNotLeave   = meaning{ClassNotSent, ClassNotSent, ClassOutage}
	noAnswer      = meaning{ClassUnknown, ClassUnknown, ClassOutage}
	tooLargeReply = meaning{ClassUnknown, ClassUnknown, ClassTooLarge}   // with a 2xx
	otherReply    = meaning{ClassUnknown, ClassUnknown, ClassUnreadable} // with a 2xx: JSON, but not what was asked for
	wrongBase     = meaning{ClassSetup, ClassSetup, ClassSetup}          // see baseCheck
)

// answers are the meanings of all others. The first row that a status is in decides.
// Nothing that is not known counts as a refusal.
var answers = []struct {
	from, to int
	meaning
}{
	//                 a dial          a change        a read
	{200, 299, meaning{ClassUnknown, ClassUnknown, ClassOutage}},  // a reply that is no JSON, or was cut short
	{300, 399, meaning{ClassSetup, ClassRefused, ClassRefused}},   // never followed: the base URL points at something that moved
	{401, 403, meaning{ClassSetup, ClassSetup, ClassSetup}},       // the key, the account, what the key may do
	{404, 404, meaning{ClassSetup, ClassNotFound, ClassNotFound}}, // to a dial, the base URL or the use case
	{405, 406, meaning{ClassSetup, ClassRefused, ClassRefused}},   // the base URL leads to something else
	{407, 407, meaning{ClassSetup, ClassSetup, ClassSetup}},       // a proxy on the way wants a password
	{408, 408, meaning{ClassUnknown, ClassUnknown, ClassSlow}},    // also of a proxy whose API is still at work
	{411, 411, meaning{ClassSetup, ClassRefused, ClassRefused}},   // something on the way does not take requests of our form
	{415, 415, meaning{ClassSetup, ClassRefused, ClassRefused}},   // likewise
	{421, 421, meaning{ClassSetup, ClassSetup, ClassSetup}},       // the host serves something else
	{425, 425, meaning{ClassThrottled, ClassThrottled, ClassThrottled}},
	{426, 426, meaning{ClassSetup, ClassSetup, ClassSetup}},     // another protocol is wanted, such as TLS
	{428, 428, meaning{ClassSetup, ClassRefused, ClassRefused}}, // something on the way does not take requests of our form
	{429, 429, meaning{ClassThrottled, ClassThrottled, ClassThrottled}},
	{431, 431, meaning{ClassSetup, ClassSetup, ClassSetup}},       // the configured headers are too large
	{400, 499, meaning{ClassRefused, ClassRefused, ClassRefused}}, // all others of 4xx
	{500, math.MaxInt, meaning{ClassUnknown, ClassUnknown, ClassOutage}},
	{math.MinInt, 199, meaning{ClassUnknown, ClassUnknown, ClassUnknown}}, // no final status
}

// ClassOf is the class of an error that a method of Client returned, wrapped or not:
// ClassAnswered for nil, ClassOther for one that holds no *Error.
func ClassOf(err error) Class {
	if err == nil {
		return ClassAnswered
	}
	var e *Error
	if !errors.As(err, &e) {
		return ClassOther
	}
	return e.Class()
}

// Class says what the answer means for the operation that failed. One that is not among
// Operations counts as one that places calls, where a mistake costs most.
func (e *Error) Class() Class {
	m := e.meaning()
	op, known := FindOperation(e.Op)
	switch {
	case !known || op.PlacesCalls():
		return m.dial
	case op.API != V1 && e.redirected():
		return m.dial // to a login page, which other hosts of the platform answer with
	case op.Changes():
		return m.change
	case isAlwaysThere(op) && m.dial == ClassSetup:
		return m.dial
	default:
		return m.read
	}
}

func (e *Error) meaning() meaning {
	switch {
	case e.Status == 0 && e.notSent:
		return didNotLeave
	case e.Status == 0:
		return noAnswer
	case e.setup:
		return wrongBase
	case e.success() && errors.Is(e.Err, errTooLarge):
		return tooLargeReply
	case e.success() && (errors.Is(e.Err, ErrOtherForm) || errors.Is(e.Err, errOtherCall) || errors.Is(e.Err, errNoCall)):
		return otherReply
	}
	for _, row := range answers {
		if e.Status >= row.from && e.Status <= row.to {
			return row.meaning
		}
	}
	return noAnswer // unreachable: the last row takes what the others leave
}

// Repeatable reports whether the same request may be sent again, and waiting may help.
// A wrong key counts: waiting until it is fixed beats failing a stream of messages. A
// request that may have been processed does not, unless it only reads.
//
// Of a refused request for several calls it says nothing: part of them may exist.
func (c Class) Repeatable() bool {
	switch c {
	case ClassNotSent, ClassThrottled, ClassSetup, ClassOutage, ClassSlow, ClassUnreadable:
		return true
	}
	return false
}

// Declined reports whether the API answered, but with a refusal, a limit or a wrong
// setup: it is there.
func (c Class) Declined() bool {
	switch c {
	case ClassThrottled, ClassSetup, ClassRefused, ClassNotFound, ClassSlow:
		return true
	}
	return false
}

// OfThisRequest reports whether the trouble is with the one object that was asked for
// or what was asked of it, so that other requests need not fare the same. An outage, a
// limit or a wrong key is trouble of all.
func (c Class) OfThisRequest() bool {
	switch c {
	case ClassRefused, ClassNotFound, ClassUnreadable, ClassTooLarge, ClassOther:
		return true
	}
	return false
}

// IsNotFound reports whether the API answered 404: it does not know the object. Where a
// dial is answered so, the use case or the URL is wrong: its class is ClassSetup.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.meaning().read == ClassNotFound
}

// IsNotLetIn reports whether the API refused the key, the account or what the key may do,
// or only named another address: whatever was asked was not looked at.
func IsNotLetIn(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.redirected() || e.keyRefused())
}

func (e *Error) redirected() bool { return e.Status >= 300 && e.Status <= 399 }

func (e *Error) keyRefused() bool {
	return e.Status >= http.StatusUnauthorized && e.Status <= http.StatusForbidden
}

// IsUnreadable reports whether an error says that the API answered with a 2xx that
// cannot be used: no JSON, cut short, too large or about another call. A dial or a
// change that was answered so may have been processed: its class is ClassUnknown.
func IsUnreadable(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.success()
}

// success says whether the API answered with a 2xx, which could not be used.
func (e *Error) success() bool { return e.Status >= 200 && e.Status <= 299 }
