package platform_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

var page = map[string]string{"Content-Type": "text/html"}

func TestA404OnATriggerIsLookedAtTwice(t *testing.T) {
	workflow := func(version string) answer {
		return answer{body: `{"id":"` + workflowID + `","slug":"reminders","latest_version":` + version + `}`}
	}
	for name, tc := range map[string]struct {
		workflow    answer
		environment platform.Environment
		finding     platform.Finding
		words       string
		failed      bool
	}{
		"unknown":              {workflow: answer{status: 404, body: `{"error":"Workflow not found"}`}, finding: platform.FoundUnknownWorkflow, words: "no workflow with this id or slug"},
		"no API there":         {workflow: answer{status: 404, body: "<html>Not found", header: page}, finding: platform.FoundOtherHost, words: "ends with /api/v2"},
		"may not be read":      {workflow: answer{status: 403, body: `{"error":"forbidden"}`}, finding: platform.FoundHiddenWorkflow, words: "may not read workflows"},
		"never published":      {workflow: workflow(`null`), finding: platform.FoundNotLive, words: "no version of it is live"},
		"unpublished":          {workflow: workflow(`{"is_live":false,"is_published":false}`), environment: platform.Staging, finding: platform.FoundNotLive, words: "publish one into staging"},
		"live":                 {workflow: workflow(`{"is_live":true,"environment":"production"}`), finding: platform.FoundNotStartable, words: "its trigger cannot be started from outside"},
		"live elsewhere":       {workflow: workflow(`{"is_live":true,"environment":"production"}`), environment: platform.Staging, finding: platform.FoundMaybeNotLive, words: "published into staging"},
		"nobody answers":       {workflow: answer{status: 503}, failed: true},
		"too many":             {workflow: answer{status: 429}, failed: true},
		"about another object": {workflow: answer{body: `{"id":"x","slug":"y"}`}, failed: true},
	} {
		a, c := serve(t, map[string]answer{
			triggers: {status: 404, body: example(t, "error.workflow-not-found")}, "GET /workflows/reminders": tc.workflow,
			"GET /api-key/describe": {body: example(t, "api-key.describe")},
		})
		run := start(t)
		run.Environment = tc.environment
		_, err := c.Trigger(t.Context(), "reminders", run)
		require.ErrorContains(t, err, "Workflow not found upstream", name)
		assert.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(err), name)

		look := c.SecondLook(t.Context(), "reminders", tc.environment, err)
		assert.Equal(t, tc.finding, look.Finding, name)
		assert.Equal(t, happyrobot.ClassSetup, look.Class, "%s: the stream pauses", name)
		assert.Contains(t, look.Text, tc.words, name)
		assert.Equal(t, tc.failed, look.Err != nil, name)
		asked := a.requests()
		assert.Equal(t, "GET /workflows/reminders", asked[len(asked)-1].Method+" "+asked[len(asked)-1].URL.Path, "%s: once", name)
		assert.Len(t, asked, 2, name)
	}
}

func TestA403WithAPageIsOfThisLeadWhereTheKeyIsGood(t *testing.T) {
	blocked := answer{status: 403, body: "<html>Blocked</html>", header: page}
	for name, tc := range map[string]struct {
		refused, key answer
		finding      platform.Finding
		class        happyrobot.Class
		failed       bool
	}{
		"the key is good":      {blocked, answer{body: example(t, "api-key.describe")}, platform.FoundFirewall, happyrobot.ClassRefused, false},
		"so is the firewall":   {blocked, blocked, platform.FoundNothing, happyrobot.ClassSetup, true},
		"the key is not known": {blocked, answer{status: 401, body: example(t, "error.missing-bearer")}, platform.FoundNothing, happyrobot.ClassSetup, true},
		"nobody answers":       {blocked, answer{status: 502}, platform.FoundNothing, happyrobot.ClassSetup, true},
		"a page with 200":      {blocked, answer{body: "<html>Log in", header: page}, platform.FoundNothing, happyrobot.ClassSetup, true},
		"JSON":                 {answer{status: 403, body: `{"error":"forbidden"}`}, answer{}, platform.FoundKeyRefused, happyrobot.ClassSetup, false},
	} {
		_, c := serve(t, map[string]answer{triggers: tc.refused, "GET /api-key/describe": tc.key})
		_, err := c.Trigger(t.Context(), "reminders", start(t))
		assert.Equal(t, happyrobot.ClassSetup, happyrobot.ClassOf(err), name)
		look := c.SecondLook(t.Context(), "reminders", "", err)
		assert.Equal(t, tc.finding, look.Finding, name)
		assert.Equal(t, tc.class, look.Class, name)
		assert.Equal(t, tc.failed, look.Err != nil, name)
	}
}

func TestOtherAnswersNeedNoSecondLook(t *testing.T) {
	for status, class := range map[int]happyrobot.Class{400: happyrobot.ClassRefused, 402: happyrobot.ClassSetup, 409: happyrobot.ClassRefused, 422: happyrobot.ClassRefused, 429: happyrobot.ClassThrottled, 500: happyrobot.ClassUnknown, 502: happyrobot.ClassUnknown} {
		a, c := serve(t, map[string]answer{triggers: {status: status}})
		_, err := c.Trigger(t.Context(), "reminders", start(t))
		look := c.SecondLook(t.Context(), "reminders", "", err)
		assert.Equal(t, platform.Look{Class: class}, look, status)
		assert.Len(t, a.requests(), 1)
	}
	_, c := serve(t, nil)
	assert.Equal(t, platform.Look{Class: happyrobot.ClassOther}, c.SecondLook(context.Background(), "reminders", "", errors.New("other")))
	_, err := c.Trigger(t.Context(), "reminders", start(t))
	require.Error(t, err)
	_, c = serve(t, map[string]answer{triggers: {status: 401, body: `{"error":"invalid or revoked API key"}`}})
	_, err = c.Trigger(t.Context(), "reminders", start(t))
	look := c.SecondLook(t.Context(), "reminders", "", err)
	assert.Equal(t, platform.FoundKeyRefused, look.Finding)
	assert.Contains(t, look.Text, "other cluster")
}
