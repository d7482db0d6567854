package platform_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

// hooked serves a hook that answers so.
func hooked(t *testing.T, path, key string, a answer) (*api, *platform.Hook) {
	t.Helper()
	server := &api{answers: map[string][]answer{"POST " + path: {a}}}
	srv := httptest.NewServer(server)
	t.Cleanup(srv.Close)
	h, err := platform.NewHook(srv.URL+path, platform.Options{Options: happyrobot.Options{APIKey: key}})
	require.NoError(t, err)
	return server, h
}

func TestAHookSendsTheBarePayload(t *testing.T) {
	for _, path := range []string{"/hooks/k3x9", "/hooks/staging/k3x9", "/behind/a/proxy/hooks/development/k3x9"} {
		for _, key := range []string{"", "the-triggers-own-key"} {
			a, h := hooked(t, path, key, answer{body: example(t, "hook.response")})
			reply, err := h.Trigger(t.Context(), json.RawMessage(example(t, "hook.request")))
			require.NoError(t, err, path)
			assert.Equal(t, runID, reply.RunID())
			require.Len(t, a.requests(), 1)
			assert.JSONEq(t, example(t, "hook.request"), a.bodies()[0])
			assert.Equal(t, key, a.requests()[0].Header.Get("x-api-key"))
			assert.Empty(t, a.requests()[0].Header.Get("Authorization"), "the key of the organization is never sent there")
		}
	}
}

func TestAHookIsAskedOnceAndItsRefusalsAreNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		answer
		class   happyrobot.Class
		finding platform.Finding
	}{
		"an unknown key":      {answer{status: 401, body: `{"error":"Invalid API key"}`}, happyrobot.ClassSetup, platform.FoundHookKeyRefused},
		"a key refused":       {answer{status: 403, body: `{"error":"no"}`}, happyrobot.ClassSetup, platform.FoundHookKeyRefused},
		"a firewall":          {answer{status: 403, body: "<html>", header: page}, happyrobot.ClassSetup, platform.FoundNothing},
		"an unknown slug":     {answer{status: 404, body: `{"error":"no"}`}, happyrobot.ClassSetup, platform.FoundUnknownHook},
		"a login page":        {answer{status: 307, header: map[string]string{"Location": "/login"}}, happyrobot.ClassSetup, platform.FoundOtherHost},
		"a bad gateway":       {answer{status: 502}, happyrobot.ClassUnknown, platform.FoundNothing},
		"an answer, no run":   {answer{body: `{"message":"ok"}`}, happyrobot.ClassUnknown, platform.FoundNothing},
		"too many":            {answer{status: 429}, happyrobot.ClassThrottled, platform.FoundNothing},
		"a payload refused":   {answer{status: 422}, happyrobot.ClassRefused, platform.FoundNothing},
		"a page in its stead": {answer{body: "<html>", header: page}, happyrobot.ClassUnknown, platform.FoundNothing},
	} {
		a, h := hooked(t, "/hooks/k3x9", "", tc.answer)
		_, err := h.Trigger(t.Context(), json.RawMessage(`{"a":1}`))
		require.Error(t, err, name)
		assert.Equal(t, tc.class, happyrobot.ClassOf(err), "%s: %v", name, err)
		var none *platform.Client // there is no key of the organization
		look := none.SecondLook(t.Context(), "", "", err)
		assert.Equal(t, platform.Look{Finding: tc.finding, Class: tc.class, Text: look.Text}, look, name)
		assert.Equal(t, tc.finding == platform.FoundNothing, look.Text == "", name)
		assert.Len(t, a.requests(), 1, name)
	}
	_, c := serve(t, map[string]answer{"GET /api-key/describe": {body: example(t, "api-key.describe")}})
	_, h := hooked(t, "/hooks/k3x9", "", answer{status: 403, body: "<html>", header: page})
	_, err := h.Trigger(t.Context(), json.RawMessage(`{}`))
	assert.Equal(t, platform.FoundFirewall, c.SecondLook(t.Context(), "", "", err).Finding, "with a key it can be asked")
}

func TestAHookHasAURLOfATrigger(t *testing.T) {
	assert.Equal(t, "https://workflows.platform.happyrobot.ai/hooks/k3x9", platform.HookURL("", "", "k3x9"))
	assert.Equal(t, "https://workflows.platform.eu.happyrobot.ai/hooks/staging/k3x9", platform.HookURL(platform.EU, platform.Staging, "k3x9"))
	assert.Equal(t, "https://workflows.platform.happyrobot.ai/hooks/k3x9", platform.HookURL(platform.US, "Production", "k3x9"))
	assert.Empty(t, platform.HookURL("uk", "", "k3x9"))
	for _, address := range []string{
		"https://h.example", "https://h.example/k3x9", "https://h.example/hooks", "https://h.example/hooks/", "https://h.example/hooks/a/b/c",
		"https://h.example/hooks/a%20b", "https://h.example/hooks/a,b", "https://h.example/hooks/..", "https://h.example/hooks//x", "https://h.example/hooks/x?y=z",
	} {
		_, err := platform.NewHook(address, platform.Options{})
		require.ErrorContains(t, err, "hook url: ", address)
	}
	_, h := hooked(t, "/hooks/k3x9", "", answer{})
	_, err := h.Trigger(t.Context(), json.RawMessage(`[]`))
	var field *happyrobot.FieldError
	require.ErrorAs(t, err, &field)
}
