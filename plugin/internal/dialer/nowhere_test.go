package dialer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/ledger"
)

// nowhere are the errors of a dial and of a list where no API is, but something that gives
// one answer to all. If an API was there before, the clients have met it.
func nowhere(t *testing.T, code int, before bool) (dial, list error) {
	t.Helper()
	answer := func(req *http.Request, code int, body string) *http.Response {
		return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader(body)), Header: http.Header{}, Request: req}
	}
	client, err := happyrobot.New(happyrobot.Options{APIKey: "key", Transport: transport(func(req *http.Request) *http.Response {
		if before {
			return answer(req, http.StatusOK, "[]")
		}
		return answer(req, code, "<html>nothing here</html>")
	})})
	require.NoError(t, err)
	if before {
		_, err := client.CreateOutboundCalls(t.Context(), nil)
		require.NoError(t, err)
		before = false
	}
	_, dial = client.CreateOutboundCalls(t.Context(), nil)
	for _, list = range client.ListCalls(t.Context(), happyrobot.ListCallsQuery{Once: true}) {
		break
	}
	require.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(dial))
	require.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(list))
	return dial, list
}

type transport func(*http.Request) *http.Response

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req), nil }

// A process whose base URL leads nowhere is stopped or killed. The next one, whose URL is
// right, calls each lead: none of them was ever in doubt.
func TestABaseURLThatLeadsNowhereLeavesNoLeadInDoubt(t *testing.T) {
	for _, code := range []int{404, 405, 421} {
		for _, killed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, killed %v", code, killed), func(t *testing.T) {
				gone, missing := nowhere(t, code, false)
				synctest.Test(t, func(t *testing.T) {
					mem, calls := ledger.NewMemory(), leads(t, 20)
					astray := &fakeAPI{
						onPost: func(int, []*Call) answer { return answer{creates: none, err: gone} },
						onList: func(int) error { return missing },
					}
					wrong := startProcess(mem, "WRONG", 0)
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					if killed {
						time.AfterFunc(time.Hour-time.Minute, wrong.kill)
					}
					_, err := open(t, astray, wrong).Dial(ctx, calls)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					assert.Less(t, len(astray.lists()), 2, "one look is enough")

					api := &fakeAPI{}
					results := dial(t, open(t, api, startProcess(mem, "RIGHT", 0)), calls...)
					assert.Equal(t, slices.Repeat([]Outcome{Accepted}, len(calls)), outcomes(results))
					assertOneCallEach(t, api, calls)
					assert.Empty(t, api.lists(), "nothing was in doubt")
				})
			})
		}
	}
}

// An API that was there before may have created a part, whatever is in its place now.
func TestABaseURLThatLedToTheAPIBeforeIsNoProof(t *testing.T) {
	gone, missing := nowhere(t, 404, true)
	never, _ := nowhere(t, 405, false)
	for name, met := range map[string]error{"met before": gone, "answered otherwise": never, "limited": tooMany} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, calls := time.Now(), leads(t, 4)
				api := &fakeAPI{onPost: first(answer{err: met, creates: func(c *Call) bool { return c.Number[len(c.Number)-1]%2 == 0 }})}
				api.onList = func(int) error {
					if time.Since(began) < time.Hour {
						return missing
					}
					return nil
				}
				results := dial(t, open(t, api, ledger.NewMemory()), calls...)
				assert.Equal(t, []Outcome{Accepted, Accepted, Accepted, Accepted}, outcomes(results))
				assertOneCallEach(t, api, calls)
			})
		})
	}
}
