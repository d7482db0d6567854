package platform

import (
	"context"
	"errors"
	"net/http"
	"strings"

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
	FoundNotStartable    Finding = "trigger_not_startable" // the workflow is live, and its trigger cannot be started from outside
	FoundFirewall        Finding = "refused_by_firewall"   // something before the API refused the contents of this lead alone
	FoundKeyRefused      Finding = "key_refused"           // the key, or what it may do
)

// Look is what a second look found. Its words hold nothing of a lead.
type Look struct {
	Finding Finding
	Class   happyrobot.Class // what the refusal means: ClassRefused for this lead alone, ClassSetup for all
	Text    string           // what to check, in words; empty for FoundNothing
	Err     error            // of the request that could not tell; nil where it could
}

// SecondLook says what a refusal of Trigger means, where its status alone does not: 404 is
// answered for an unknown workflow, for one that is not live in the environment and for one
// whose trigger cannot be started from outside, and 403 with a page by a firewall that looks
// at contents. It makes one request, getWorkflow or describeApiKey, and does not repeat it.
// For any other error it makes none, and its class is that of the error.
func (c *Client) SecondLook(ctx context.Context, workflow string, environment Environment, refusal error) Look {
	look := Look{Class: happyrobot.ClassOf(refusal)}
	var e *happyrobot.Error
	if !errors.As(refusal, &e) {
		return look
	}
	if environment == "" {
		environment = Production
	}
	switch {
	case e.Status == http.StatusNotFound:
		return c.lookForWorkflow(ctx, workflow, environment, look, e)
	case e.Status == http.StatusForbidden && e.HTML:
		return c.lookAtFirewall(ctx, look)
	case e.Status == http.StatusForbidden:
		look.Finding = FoundKeyRefused
		look.Text = "the key may not start runs; new keys are Viewers, so give it a role that may"
	case e.Status == http.StatusUnauthorized:
		look.Finding = FoundKeyRefused
		look.Text = "the key is not known at " + c.base + "; it may be revoked, expired, or of the other cluster (us or eu)"
	}
	return look
}

func (c *Client) lookForWorkflow(ctx context.Context, workflow string, environment Environment, look Look, e *happyrobot.Error) Look {
	var w Workflow
	err := c.workflow(ctx, workflow, true, &w)
	switch {
	case err == nil:
		// What the API says is words, not a code: they only choose the advice.
		upstream := strings.Contains(strings.ToLower(e.Message), "not found upstream")
		switch live := w.LiveIn(environment); {
		case live == NotLive:
			look.Finding = FoundNotLive
			look.Text = "the workflow is known, and no version of it is live; publish one into " + string(environment)
		case live == Live:
			look.Finding = FoundNotStartable
			look.Text = "the workflow is live in " + string(environment) + ", and its trigger cannot be started from outside; only an incoming hook or a predefined request can"
		default:
			look.Finding = FoundNotLive
			look.Text = "the workflow is known, and whether a version is live in " + string(environment) + " is not; publish one into it"
			if upstream {
				look.Text += ", with an incoming hook or a predefined request as its trigger"
			}
		}
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

func statusOf(err error) int {
	var e *happyrobot.Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}
