package happyrobot_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// answers is a transport that gives prepared answers, the last one for ever.
type answers struct {
	replies  []reply
	requests []*http.Request

	from time.Time // then is the reply from then on; zero: never
	then reply
}

type reply struct {
	status     int
	retryAfter string
	body       string
	err        error
}

func (a *answers) RoundTrip(req *http.Request) (*http.Response, error) {
	a.requests = append(a.requests, req)
	r := a.replies[min(len(a.requests), len(a.replies))-1]
	if !a.from.IsZero() && !time.Now().Before(a.from) {
		r = a.then
	}
	if r.err != nil {
		return nil, r.err
	}
	if r.status == 0 {
		r.status = http.StatusOK
	}
	h := http.Header{}
	if r.retryAfter != "" {
		h.Set("Retry-After", r.retryAfter)
	}
	return &http.Response{StatusCode: r.status, Header: h, Body: io.NopCloser(strings.NewReader(r.body)), Request: req}, nil
}

func answering(t *testing.T, replies ...reply) (*answers, func(change func(*happyrobot.Options)) *happyrobot.Client) {
	a := &answers{replies: replies}
	return a, func(change func(*happyrobot.Options)) *happyrobot.Client {
		return newClient(t, "http://api.example.invalid/api/v1", func(o *happyrobot.Options) {
			o.Transport = a
			if change != nil {
				change(o)
			}
		})
	}
}

const aCall = `{"id":"` + callID + `","status":"Completed"}`

func TestAReadIsRepeatedUntilThePassingFaultIsOver(t *testing.T) {
	for name, fault := range map[string]reply{
		"no answer": {err: io.ErrUnexpectedEOF}, "401": {status: 401}, "402": {status: 402}, "403": {status: 403}, "408": {status: 408},
		"429": {status: 429}, "500": {status: 500}, "502": {status: 502}, "503": {status: 503}, "not JSON": {body: "<html>"}, "cut short": {body: aCall[:20]}, "empty": {body: ""},
	} {
		t.Run(name, func(t *testing.T) {
			a, client := answering(t, fault, fault, reply{body: aCall})
			var retried, answered int
			var statuses []int
			c := client(func(o *happyrobot.Options) {
				o.OnRepeat = func(op string) (func(error, time.Duration), func(error)) {
					assert.Equal(t, "getCall", op)
					return func(err error, _ time.Duration) {
							assert.Error(t, err)
							retried++
						}, func(err error) {
							assert.NoError(t, err)
							answered++
						}
				}
				o.OnRequest = func(_ string, status int, _ time.Duration) { statuses = append(statuses, status) }
			})

			call, err := c.GetCall(t.Context(), callID)

			require.NoError(t, err)
			assert.Equal(t, happyrobot.StatusCompleted, call.Status)
			assert.Len(t, a.requests, 3)
			assert.Equal(t, 2, retried)
			assert.Equal(t, 1, answered)
			assert.Len(t, statuses, 3)
			assert.Equal(t, "Bearer "+testKey, a.requests[2].Header.Get("Authorization"))
		})
	}
}

func TestAReadIsNotRepeatedWhenAskingAgainCannotHelp(t *testing.T) {
	for _, code := range []int{301, 307, 400, 404, 405, 409, 410, 422} {
		a, client := answering(t, reply{body: aCall}, reply{status: code})
		c := client(nil)
		_, err := c.GetCall(t.Context(), callID) // the API was met
		require.NoError(t, err)
		_, err = c.GetCall(t.Context(), callID)
		var e *happyrobot.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, code, e.Status)
		assert.Equal(t, code == 404, happyrobot.IsNotFound(err))
		assert.Len(t, a.requests, 2, "status %d", code)
	}
}

// JSON that is not what was asked for is no passing fault. What is no JSON is an outage.
func TestAReadThatIsAnsweredWithSomethingElseEnds(t *testing.T) {
	for _, body := range []string{`{"id":"64f0c0de0000000000000999","status":"Completed"}`, `{"message":"ok"}`, `[]`, `null`} {
		a, client := answering(t, reply{body: body})
		_, err := client(nil).GetCall(t.Context(), callID)
		var e *happyrobot.Error
		require.ErrorAs(t, err, &e)
		assert.Equal(t, 200, e.Status)
		assert.True(t, happyrobot.IsUnreadable(err))
		assert.Len(t, a.requests, 4, "one and three more")
	}
}

func TestAReadThatIsCutOffIsRepeatedForHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, body := range []string{"<html>", aCall[:20], ""} {
			a, client := answering(t, reply{body: body})
			a.from, a.then = time.Now().Add(3*time.Hour), reply{body: aCall}
			slowly := func(o *happyrobot.Options) {
				o.Retry.InitialInterval, o.Retry.MaxInterval = time.Second, 30*time.Second
			}
			_, err := client(slowly).GetCall(t.Context(), callID)
			require.NoError(t, err)

			a, client = answering(t, reply{body: body})
			_, err = client(func(o *happyrobot.Options) { slowly(o); o.Retry.MaxElapsedTime = time.Hour }).GetCall(t.Context(), callID)
			require.Error(t, err)
			assert.True(t, happyrobot.IsUnreadable(err))
			assert.Greater(t, len(a.requests), 100)
		}
	})
}

func TestAReadWaitsAsLongAsTheAPIAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, client := answering(t, reply{status: 429, retryAfter: "90"}, reply{body: aCall})
		began := time.Now()
		_, err := client(nil).GetCall(t.Context(), callID)
		require.NoError(t, err)
		assert.Equal(t, 90*time.Second, time.Since(began))
		assert.Len(t, a.requests, 2)
	})
}

func TestAReadGivesUpAtItsLimit(t *testing.T) {
	limited := func(o *happyrobot.Options) { o.Retry.MaxElapsedTime = time.Minute }
	t.Run("of repeating", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, client := answering(t, reply{status: 503})
			began := time.Now()
			_, err := client(func(o *happyrobot.Options) {
				limited(o)
				o.Retry.InitialInterval, o.Retry.MaxInterval = time.Second, 4*time.Second
			}).GetCall(t.Context(), callID)
			require.ErrorContains(t, err, "503")
			assert.LessOrEqual(t, time.Since(began), time.Minute)
			assert.Greater(t, len(a.requests), 10)
		})
	})
	t.Run("that the API asks to wait beyond", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, client := answering(t, reply{status: 503, retryAfter: "3600"})
			began := time.Now()
			_, err := client(limited).GetCall(t.Context(), callID)
			require.ErrorContains(t, err, "503")
			assert.Zero(t, time.Since(began))
			assert.Len(t, a.requests, 1)
		})
	})
}

func TestARepeatedReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := answering(t, reply{status: 503, retryAfter: "3600"})
		stop := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stop) })
		began := time.Now()
		_, err := client(nil).GetCall(ctx, callID)
		require.ErrorIs(t, err, stop)
		assert.Equal(t, time.Second, time.Since(began))
	})
}

func TestTheRateLimitIsAskedBeforeEachRequestNotOnce(t *testing.T) {
	a, client := answering(t, reply{status: 500}, reply{status: 500}, reply{body: aCall})
	asked := 0
	_, err := client(func(o *happyrobot.Options) {
		o.Wait = func(context.Context) error { assert.Len(t, a.requests, asked); asked++; return nil }
	}).GetCall(t.Context(), callID)
	require.NoError(t, err)
	assert.Equal(t, 3, asked)
}

func TestHeadersOfTheUserAreSentBesideTheKey(t *testing.T) {
	a, client := answering(t, reply{body: aCall})
	_, err := client(func(o *happyrobot.Options) {
		o.Headers = map[string]string{"x-tenant": "t1", "User-Agent": "mine"}
	}).GetCall(t.Context(), callID)
	require.NoError(t, err)
	h := a.requests[0].Header
	assert.Equal(t, []string{"Bearer " + testKey}, h.Values("Authorization"))
	assert.Equal(t, "t1", h.Get("X-Tenant"))
	assert.Equal(t, "mine", h.Get("User-Agent"))
}

// roundTrip is a transport that is a function.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req), nil }

func respond(req *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}
}

func TestAnAnswerOfAnotherShapeIsDescribedInTheWordsOfJSON(t *testing.T) {
	for body, says := range map[string]string{
		`[]`:           "unexpected shape: an array where an object was expected",
		`7`:            "unexpected shape: a number where an object was expected",
		`{"calls":{}}`: "unexpected shape: calls: an object where an array was expected",
		`{}`:           "unexpected shape: it has no list of calls",
	} {
		_, client := answering(t, reply{body: body})
		_, err := client(nil).ListCallsPage(t.Context(), happyrobot.ListCallsQuery{Once: true})
		require.ErrorContains(t, err, "listCalls: status 200: decoding the reply: "+says)
		assert.NotContains(t, err.Error(), "json.")
	}
}
