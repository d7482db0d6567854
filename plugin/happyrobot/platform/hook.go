package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// hookHosts are where the clusters answer hooks. The documentation also shows the host of
// the API, which answers with a redirect to a login page (seen 2026-09).
var hookHosts = map[Cluster]string{
	US: "https://workflows.platform.happyrobot.ai",
	EU: "https://workflows.platform.eu.happyrobot.ai",
}

// HookURL is the URL of a trigger with a slug, "" for an unknown cluster. Empty arguments
// are US and Production.
func HookURL(cluster Cluster, environment Environment, slug string) string {
	if cluster == "" {
		cluster = US
	}
	host, ok := hookHosts[cluster]
	if !ok {
		return ""
	}
	if environment == "" || environment.Is(Production) {
		return host + "/hooks/" + url.PathEscape(slug)
	}
	return host + "/hooks/" + url.PathEscape(string(environment)) + "/" + url.PathEscape(slug)
}

// Hook starts runs through the URL of a workflow's trigger. Safe for concurrent use.
type Hook struct {
	requester *happyrobot.Requester
	operation happyrobot.Operation
	path      map[string]string
}

// NewHook makes a hook for a URL such as HookURL gives. It makes no request. The key of the
// options is that of the trigger, which is not the key of the organization: a trigger with
// enhanced security wants it as x-api-key. A trigger that is open has none. Cluster and
// BaseURL are not used. The URL must be https, except on the loopback interface.
func NewHook(address string, opts Options) (*Hook, error) {
	if err := checkBaseURL(address, hookHosts[US]+"/hooks/<slug>"); err != nil {
		return nil, fmt.Errorf("hook url: %w", err)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("hook url: must be a URL")
	}
	before, after, found := strings.Cut(u.Path, "/hooks/")
	h := &Hook{}
	switch parts := strings.Split(strings.TrimRight(after, "/"), "/"); {
	case found && len(parts) == 1:
		h.operation, h.path = operation("triggerHook"), map[string]string{"slug": parts[0]}
	case found && len(parts) == 2:
		h.operation, h.path = operation("triggerHookInEnvironment"), map[string]string{"environment": parts[0], "slug": parts[1]}
	default:
		return nil, errors.New("hook url: must have a path such as /hooks/<slug> or /hooks/staging/<slug>")
	}
	for _, part := range h.path {
		if err := happyrobot.ValidateOpaqueID(part); err != nil {
			return nil, fmt.Errorf("hook url: slug: %w", err)
		}
	}
	conf := opts.Options
	conf.BaseURL = u.Scheme + "://" + u.Host + strings.TrimRight(before, "/")
	if conf.APIKey == "" && conf.APIKeys == nil {
		conf.APIKeys = func() []string { return nil }
	}
	if h.requester, err = happyrobot.NewRequester(conf); err != nil {
		return nil, fmt.Errorf("hook: %w", err)
	}
	return h, nil
}

// Trigger starts a run, POST /hooks/{slug}. The payload is a JSON object and is sent as it
// is, without an envelope. The rest is as with Client.Trigger.
func (h *Hook) Trigger(ctx context.Context, payload json.RawMessage) (reply TriggerReply, err error) {
	if err := checkPayload(payload); err != nil {
		return TriggerReply{}, err
	}
	err = h.requester.Perform(ctx, happyrobot.Request{Operation: h.operation, Path: h.path, Body: payload, KeyIn: "x-api-key", Read: reply.read})
	return reply, err
}
