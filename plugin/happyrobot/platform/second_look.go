package platform

import (
	"context"
	"errors"
	"net/http"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// Finding is what a second look at a refused trigger found.
type Finding string

// Findings.
const (
	// FoundNothing is a refusal that says all itself, or of which nothing more could be
	// found out: its class stands.
	FoundNothing Finding = ""

	FoundUnknownWorkflow Finding = "unknown_workflow"      // no such workflow in this workspace and cluster, or the key may not see it
	FoundHiddenWorkflow  Finding = "hidden_workflow"       // the key may not read workflows
	FoundNotLive         Finding = "not_live"              // no version of the workflow is live in the environment
	FoundMaybeNotLive    Finding = "maybe_not_live"        // one of the last and the next: the API does not tell which version is live in the environment
	FoundNotStartable    Finding = "trigger_not_startable" // the workflow is live, and its trigger cannot be started from outside
	FoundFirewall        Finding = "refused_by_firewall"   // something before the API refused the contents of this lead alone
	FoundKeyRefused      Finding = "key_refused"           // the key, or what it may do
	FoundUnknownHook     Finding = "unknown_hook"          // no trigger answers at the URL of the hook
	FoundHookKeyRefused  Finding = "hook_key_refused"      // the key of the trigger, which is not that of the organization
	FoundOtherHost       Finding = "redirected"            // another host answers, such as one with a login page
)

// Look is what a second look found. Its words hold nothing of a lead.
type Look struct {
	Finding Finding
	Class   happyrobot.Class // what the refusal means: ClassRefused for this lead alone, ClassSetup for all
	Text    string           // what to check, in words; empty for FoundNothing
	Err     error            // of the request that could not tell; nil where it could
}

// SecondLook says what a refusal of a trigger means, where its status alone does not: 404 is
// answered for an unknown workflow, for one that is not live in the environment and for one
// whose trigger cannot be started from outside, and 403 with a page by a firewall that looks
// at contents. For those two it makes one request, getWorkflow or describeApiKey, and does
// not repeat it. For any other error it makes none, and the class is that of the error.
//
// The refusal may be that of a Hook. The client is nil then where there is no key of the
// organization; workflow may be empty.
func (c *Client) SecondLook(ctx context.Context, workflow string, environment Environment, refusal error) Look {
	look := Look{Class: happyrobot.ClassOf(refusal)}
	var e *happyrobot.Error
	if !errors.As(refusal, &e) {
		return look
	}
	if environment == "" {
		environment = Production
	}
	hook := e.Op != opTriggerRun
	switch {
	case e.Status >= 300 && e.Status <= 399 && hook:
		return look.as(FoundOtherHost, "the host of the hook's URL redirects to another one, which is never followed; hooks are at "+hookHosts[US]+" and "+hookHosts[EU])
	case e.Status >= 300 && e.Status <= 399:
		return look.as(FoundOtherHost, "the host of base_url redirects to another one, which is never followed; the API is at "+US.BaseURL()+" and "+EU.BaseURL())
	case e.Status == http.StatusForbidden && e.HTML && c != nil:
		return c.lookAtFirewall(ctx, look)
	case e.Status == http.StatusForbidden && e.HTML:
		return look // whether it refuses all or this lead alone cannot be asked
	case hook && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		return look.as(FoundHookKeyRefused, "the trigger does not take the key of the hook, which is the trigger's own and not that of the organization; set it, or turn enhanced security off")
	case hook && e.Status == http.StatusNotFound:
		return look.as(FoundUnknownHook, "no trigger answers at the URL of the hook; check its slug and cluster, and that the workflow is published into the environment of the URL")
	case e.Status == http.StatusNotFound && c != nil:
		return c.lookForWorkflow(ctx, workflow, environment, look)
	case e.Status == http.StatusForbidden:
		return look.as(FoundKeyRefused, "the key may not start runs; new keys are Viewers, so give it a role that may")
	case e.Status == http.StatusUnauthorized && c != nil:
		return look.as(FoundKeyRefused, "the key is not known at "+c.base+"; it may be revoked, expired, or of the other cluster (us or eu)")
	}
	return look
}

func (l Look) as(finding Finding, words string) Look {
	l.Finding, l.Text = finding, words
	return l
}

func (c *Client) lookForWorkflow(ctx context.Context, workflow string, environment Environment, look Look) Look {
	var w Workflow
	err := c.workflow(ctx, workflow, true, &w)
	switch {
	case err == nil:
		switch w.LiveIn(environment) {
		case NotLive:
			look.Finding = FoundNotLive
			look.Text = "the workflow is known, and no version of it is live; publish one into " + string(environment)
		case Live:
			look.Finding = FoundNotStartable
			look.Text = "the workflow is live in " + string(environment) + ", so its trigger cannot be started from outside; only an incoming hook or a predefined request can"
		default:
			look.Finding = FoundMaybeNotLive
			look.Text = "the workflow is known; check that a version of it is published into " + string(environment) + ", and that its trigger is an incoming hook or a predefined request"
		}
	case happyrobot.IsNotFound(err) && isPage(err):
		return look.as(FoundOtherHost, "no API answers at base_url "+c.base+"; it ends with /api/v2")
	case happyrobot.IsNotFound(err):
		look.Finding = FoundUnknownWorkflow
		look.Text = "no workflow with this id or slug is known at " + c.base + " to this key; check workflow, cluster, and what the key may see"
	case statusOf(err) == http.StatusForbidden:
		look.Finding = FoundHiddenWorkflow
		look.Text = "the key may not read workflows; the workflow may be unknown, not live in " + string(environment) + ", or have a trigger that cannot be started from outside"
	default:
		look.Err = err
	}
	return look
}

func (c *Client) lookAtFirewall(ctx context.Context, look Look) Look {
	var k Key
	err := c.requester.Perform(ctx, happyrobot.Request{Operation: operation("describeApiKey"), Once: true, Read: k.read})
	switch {
	case err == nil:
		look.Finding, look.Class = FoundFirewall, happyrobot.ClassRefused
		look.Text = "a firewall before the API refused the contents of this lead, and lets the key pass otherwise"
	case happyrobot.IsNotLetIn(err):
		look.Text = "a firewall before the API refuses this address or key altogether"
		look.Err = err
	default:
		look.Err = err
	}
	return look
}

func isPage(err error) bool {
	var e *happyrobot.Error
	return errors.As(err, &e) && e.HTML
}

func statusOf(err error) int {
	var e *happyrobot.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}
