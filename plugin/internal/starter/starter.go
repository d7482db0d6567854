package starter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// Options of a Starter.
type Options struct {
	Workflow    string // UUID or slug
	Environment platform.Environment
	RefField    string // where the reference is in the payload, a dotted path

	// Start starts a run with one request: through the API, or with Hook through the URL of
	// its trigger.
	Start func(ctx context.Context, payload json.RawMessage) (platform.TriggerReply, error)
	Hook  bool

	// Reads repeats its requests until they are answered; Asks makes each once. Both are nil
	// without a key: then no run can be looked up.
	Reads, Asks *platform.Client

	// InitialInterval and MaxInterval space the tries of what is not answered.
	InitialInterval, MaxInterval time.Duration

	Shared *Shared // what all who start runs of the workflow know together

	OnSeveral  func(runs int) // once: an answer names several runs for one lead
	OnNoColumn func()         // once: a run of ours is listed without its reference
}

// Starter starts runs of a workflow and finds them. Safe for concurrent use.
type Starter struct {
	opts   Options
	places ownPlaces

	preflight *Preflight // nil: none
}

// New makes a starter.
func New(opts Options) *Starter {
	if opts.Shared == nil {
		opts.Shared = &Shared{}
	}
	return &Starter{opts: opts, places: placesOf(opts.RefField)}
}

var _ dialer.API = (*Starter)(nil)

// Place implements dialer.API. One request starts one run.
func (s *Starter) Place(ctx context.Context, calls []*dialer.Call) ([]dialer.PlacedCall, error) {
	if len(calls) != 1 {
		panic("starter: one request starts one run") // who makes the dialer says so
	}
	call := calls[0]
	reply, err := s.opts.Start(ctx, call.Body)
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	s.opts.Shared.started(call.Ref, reply.RunIDs)
	if n := len(reply.RunIDs); n > 1 && s.opts.OnSeveral != nil {
		s.opts.Shared.several.Do(func() { s.opts.OnSeveral(n) })
	}
	// The answer has no reference: it is to this one request.
	return []dialer.PlacedCall{{ID: reply.RunIDs[0], More: reply.RunIDs[1:], Ref: call.Ref, Number: call.Number, Raw: reply.Raw}}, nil
}

// explain says what a refused trigger means, and what to do about it. A page in place of an
// answer is not the API's: the run may have been started all the same.
func (s *Starter) explain(ctx context.Context, refusal error) error {
	var e *happyrobot.Error
	if !errors.As(refusal, &e) {
		return refusal
	}
	page := e.Status == http.StatusForbidden && e.HTML
	reason, text := "", ""
	if s.opts.Asks == nil || s.opts.Hook && !page {
		if s.opts.Hook {
			text = ofHook(e)
		}
	} else {
		reason, text = s.secondLook(ctx, refusal, e)
	}
	err := refusal
	if text != "" {
		err = fmt.Errorf("%w; %s", refusal, text)
	}
	if page {
		return &dialer.Refusal{Reason: reason, Err: err}
	}
	return err
}

// secondLook is explain with one more request. reason is "" unless the lead alone is refused.
func (s *Starter) secondLook(ctx context.Context, refusal error, e *happyrobot.Error) (reason, text string) {
	look := s.opts.Asks.SecondLook(ctx, s.opts.Workflow, s.opts.Environment, refusal)
	switch {
	case look.Finding == platform.FoundFirewall:
		return words.RefusedByFirewall, look.Text + "; look for code, SQL or HTML in its texts"
	case e.Status == http.StatusNotFound:
		if text = look.Text; text == "" {
			text = "the workflow is unknown in this cluster, no version of it is live in " + string(s.opts.Environment) +
				", its trigger cannot be started from outside, or the key may not see it"
			if look.Err != nil {
				text += fmt.Sprintf(" (a second look could not tell: %v)", look.Err)
			}
		}
		if s.preflight != nil {
			text += "; " + s.preflight.Summary()
		}
		return "", text
	case look.Text != "":
		return "", look.Text
	case e.Status == http.StatusForbidden && look.Err != nil:
		return "", fmt.Sprintf("something before the API refused it, and a second look could not tell what for: %v", look.Err)
	case e.Status == http.StatusPaymentRequired:
		return "", "the account is used up or not paid; nothing starts until it is"
	}
	return "", ""
}

// ofHook is explain for the URL of a trigger, which tells less.
func ofHook(e *happyrobot.Error) string {
	switch {
	case e.Status >= 300 && e.Status <= 399:
		return "hook.url is not where hooks are answered, which is https://workflows.platform.happyrobot.ai/hooks/<slug>, or the same host of platform.eu in the EU"
	case e.Status == http.StatusUnauthorized:
		return "the trigger wants a key of its own, which is not that of the organization; check hook.key"
	case e.Status == http.StatusForbidden && e.HTML:
		return "a firewall before the hook refused the request; without api_key nothing tells whether it is for the contents of this lead"
	case e.Status == http.StatusForbidden:
		return "the trigger refuses hook.key"
	case e.Status == http.StatusNotFound:
		return "no workflow has this slug for its trigger in this cluster, none of its versions is live in the environment of hook.url, or its trigger is no incoming hook"
	}
	return ""
}
