package happyrobot_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

func operation(t *testing.T, id string) happyrobot.Operation {
	t.Helper()
	op, ok := happyrobot.FindOperation(id)
	require.True(t, ok, id)
	return op
}

func TestAWriteIsRepeatedOnlyWhenItWasNotProcessed(t *testing.T) {
	stop := operation(t, "stopCall")
	args := happyrobot.Arguments{Path: map[string]string{"id": callID}, Body: json.RawMessage(`{"why":"asked to"}`)}
	respond := func(status int) func(net.Conn) bool {
		return func(conn net.Conn) bool {
			_, err := fmt.Fprintf(conn, "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}", status)
			return err == nil
		}
	}
	cut := func(net.Conn) bool { return false }
	for name, tc := range map[string]struct {
		first    func(net.Conn) bool
		repeated bool
	}{
		"429": {respond(http.StatusTooManyRequests), true},
		"401": {respond(http.StatusUnauthorized), true},
		"402": {respond(http.StatusPaymentRequired), true},
		"403": {respond(http.StatusForbidden), true},
		"408": {respond(http.StatusRequestTimeout), false},
		"409": {respond(http.StatusConflict), false},
		"500": {respond(http.StatusInternalServerError), false},
		"503": {respond(http.StatusServiceUnavailable), false},
		"cut": {cut, false},
		"an answer of HTML": {func(conn net.Conn) bool {
			_, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
			return err == nil
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			srv := serveRaw(t, func(conn net.Conn, nth int) bool {
				if nth == 1 {
					return tc.first(conn)
				}
				return respond(http.StatusOK)(conn)
			})
			_, err := newClient(t, srv.url, nil).Do(t.Context(), stop, args)
			if tc.repeated {
				require.NoError(t, err)
				assert.Len(t, srv.seen(), 2)
				return
			}
			var e *happyrobot.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, name != "409", e.Class() == happyrobot.ClassUnknown, "an unknown outcome is not a refusal")
			assert.Len(t, srv.seen(), 1)
		})
	}
}

func TestAWriteThatDidNotLeaveIsSentLater(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	var tries int
	c := newClient(t, srv.URL, func(o *happyrobot.Options) {
		transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if tries++; tries < 3 {
				return nil, &net.OpError{Op: "dial", Err: fmt.Errorf("refused")}
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		}}
		t.Cleanup(transport.CloseIdleConnections)
		o.Transport = transport
	})
	reply, err := c.Do(t.Context(), operation(t, "setCallRating"), happyrobot.Arguments{Path: map[string]string{"id": callID}, Body: json.RawMessage(`{}`)})
	require.NoError(t, err)
	assert.Nil(t, reply, "an empty answer is no failure")
	assert.Equal(t, 3, tries)
}

func TestAStopDoesNotCutAWriteThatHasLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		cancel()
		select {
		case <-req.Context().Done():
		case <-time.After(50 * time.Millisecond):
			_, _ = io.WriteString(w, `{"done":true}`)
		}
	}))
	defer srv.Close()
	reply, err := newClient(t, srv.URL, nil).Do(ctx, operation(t, "stopCall"), happyrobot.Arguments{Path: map[string]string{"id": callID}})
	require.NoError(t, err)
	assert.JSONEq(t, `{"done":true}`, string(reply))

	_, err = newClient(t, srv.URL, func(o *happyrobot.Options) {
		o.Wait = func(ctx context.Context) error { return ctx.Err() }
	}).Do(ctx, operation(t, "stopCall"), happyrobot.Arguments{Path: map[string]string{"id": callID}})
	assert.ErrorIs(t, err, context.Canceled, "one that waits for its turn is not sent")
}

func TestSecretsOfTheOrganizationAreTakenOutOfAnswers(t *testing.T) {
	_, client := answering(t, reply{body: `{"id":"o","api_key":"sk-secret","members":[{"email":"a@example.com","seen":12345678901234567890}],"twilio_credentials":{"auth_token":"sk-secret"}}`})
	got, err := client(nil).Do(t.Context(), operation(t, "updateMember"), happyrobot.Arguments{Body: json.RawMessage(`{}`)})
	require.NoError(t, err)
	assert.Equal(t, `{"id":"o","members":[{"email":"a@example.com","seen":12345678901234567890}]}`, string(got))
}

func TestPathParametersCannotLeaveTheirSegment(t *testing.T) {
	a, client := answering(t, reply{body: `{}`})
	c := client(nil)
	note := operation(t, "updateNote")
	_, err := c.Do(t.Context(), note, happyrobot.Arguments{Path: map[string]string{"id": callID, "noteId": "näh&;a..b"}, Query: url.Values{"a b": {"c&d"}}})
	require.NoError(t, err)
	require.Len(t, a.requests, 1)
	assert.Equal(t, "/api/v1/calls/"+callID+"/notes/n%C3%A4h&%3Ba..b", a.requests[0].URL.EscapedPath())
	assert.Equal(t, "a+b=c%26d", a.requests[0].URL.RawQuery)

	for _, bad := range []map[string]string{
		{"id": callID}, {"id": callID, "noteId": ""}, {"noteId": "n"}, {"id": "short", "noteId": "n"},
		{"id": callID, "noteId": ".."}, {"id": callID, "noteId": "."}, {"id": callID, "noteId": "a/b"}, {"id": callID, "noteId": `a\b`},
		{"id": callID, "noteId": "%2e%2e"}, {"id": callID, "noteId": "a b"}, {"id": callID, "noteId": "a\n"},
		{"id": callID, "noteId": "a?b"}, {"id": callID, "noteId": "a#b"}, {"id": callID, "noteId": "a,b"},
		{"id": "../../dial/outbound/1234", "noteId": "n"}, {"id": callID, "noteId": "dial"}, {"id": callID, "noteId": "n", "other": "x"},
	} {
		_, err := c.Do(t.Context(), note, happyrobot.Arguments{Path: bad})
		var f *happyrobot.FieldError
		require.ErrorAs(t, err, &f, "%v", bad)
		assert.Contains(t, f.Field, "path")
	}
	assert.Len(t, a.requests, 1)
}

func TestNoOperationPlacesCallsPastTheLedger(t *testing.T) {
	a, client := answering(t, reply{body: `{}`})
	dials := 0
	for _, op := range happyrobot.Operations() {
		if !op.PlacesCalls() {
			continue
		}
		dials++
		_, err := client(nil).Do(t.Context(), op, happyrobot.Arguments{Body: json.RawMessage(`{}`)})
		require.ErrorContains(t, err, op.ID)
	}
	assert.Equal(t, 3, dials)
	for _, path := range []string{
		"/dial/outbound", "/v1/DIAL/outbound", "calls", "/calls/", "/calls//x", "/a/../b", "/./b", "/...", "/calls?x=y", "/calls#x", "/%64ial/outbound", "/{id", "/a b", "https://example.com/x", "",
	} {
		_, err := operation(t, "exportCalls").At(path)
		require.Error(t, err, path)
	}
	op, err := operation(t, "exportCalls").At("/{where}/outbound")
	require.NoError(t, err)
	_, err = client(nil).Do(t.Context(), op, happyrobot.Arguments{Path: map[string]string{"where": "dial"}})
	require.Error(t, err)
	assert.Empty(t, a.requests)
}

func TestAReadTakesNoBodyAndIsRepeated(t *testing.T) {
	a, client := answering(t, reply{status: http.StatusInternalServerError}, reply{body: `[1.10]`})
	got, err := client(nil).Do(t.Context(), operation(t, "listAgents"), happyrobot.Arguments{})
	require.NoError(t, err)
	assert.Equal(t, `[1.10]`, string(got))
	assert.Len(t, a.requests, 2)
	_, err = client(nil).Do(t.Context(), operation(t, "listAgents"), happyrobot.Arguments{Body: json.RawMessage(`{}`)})
	var f *happyrobot.FieldError
	require.ErrorAs(t, err, &f)
	assert.Equal(t, "body", f.Field)
}
