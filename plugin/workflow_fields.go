package plugin

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

const ( // wf: workflow fields
	wfFieldWorkflow     = "workflow"
	wfFieldEnvironment  = "environment"
	wfFieldMapping      = "payload_mapping"
	wfFieldPhone        = "phone_field"
	wfFieldRef          = "ref_field"
	wfFieldMaxBacklog   = "max_backlog"
	wfFieldPollInterval = "poll_interval"
	wfFieldHook         = "hook"
	wfFieldHookURL      = "url"
	wfFieldHookKey      = "key"
)

// pathPattern is that of a member, or a path of members.
const pathPattern = `^[^.\s]([^.]*[^.\s])?(\.[^.\s]([^.]*[^.\s])?)*$`

// workflowFields are the fields of happyrobot_workflow that say what is started.
func workflowFields() []*service.ConfigField {
	path := func(field string) string {
		return fmt.Sprintf("root = if this != \"\" && !this.re_match(%q) { [ \"`%s` must be the name of a member, or a path of names with dots between them\" ] }", pathPattern, field)
	}
	return dialFields(ownFields{settle: "60s", request: []*service.ConfigField{
		service.NewStringField(wfFieldWorkflow).
			Description("The workflow to start, by its UUID or slug. It must be set, which is checked at start.").
			Example("appointment-reminders").
			LintRule("root = if this.trim() != this || this.re_match(\"[/\\\\\\\\%?#\\\\s]\") { [ \"`workflow` must be the UUID or slug of a workflow, without blanks and without / \\\\ % ? #\" ] }"),
		service.NewStringAnnotatedEnumField(wfFieldEnvironment, map[string]string{
			string(platform.Production):  "The version that is live in production.",
			string(platform.Staging):     "The version that is live in staging.",
			string(platform.Development): "The version that is live in development.",
		}).Description("Which version is started: the one that is live there. With `hook` the URL decides, and this must say the same.").
			Default(string(platform.Production)),
		service.NewBloblangField(wfFieldMapping).
			Description("Maps a message to the payload: an object whose members become variables of the workflow. Which of them is the number to call is a setting of the workflow, and `phone_field` must name the same. The member in `ref_field` is set by this component.").
			Example(`root.phone_number = this.phone
root.customer_name = this.name
root.lead_id = this.id`),
		service.NewStringField(wfFieldPhone).
			Description("The member of the payload with the number to call, such as `phone_number`, or a path such as `contact.phone`. It is checked and written in E.164 form, and a payload without it is rejected. Empty says that the workflow calls nobody whom the payload names: then no number is checked.").
			Default("").
			Example("phone_number").
			LintRule(path(wfFieldPhone)),
		service.NewStringField(wfFieldRef).
			Description("The member of the payload, or a path to it, that gets the reference of the run. No segment of it may be a name of secrets, such as `headers`, `authorization` or `api_key`, and neither it nor `phone_field` may lie within the other. Add it as a column to the table of runs: then a run of unknown outcome is found with one request. A value that `payload_mapping` gives it is replaced.").
			Default("dial_ref").
			LintRule("root = if !this.re_match(" + fmt.Sprintf("%q", pathPattern) + ") { [ \"`ref_field` must be the name of a member, or a path of names with dots between them\" ] } else if this.lowercase().re_replace_all(\"[-_]\", \"\").re_match(\"(^|[.])(headers|authorization|x?apikey|twiliocredentials)([.]|$)\") { [ \"`ref_field` " + hiddenRef + "\" ] }").
			Advanced(),
		service.NewIntField(wfFieldMaxBacklog).
			Description("How many runs of the workflow may wait to begin before no more are started. The platform takes any number of runs and dials about a hundred at a time; a queue that is there can only be canceled. What this component started since the queue was last asked counts, for each copy of the component by itself: several processes can exceed it by what each starts within `poll_interval`. It needs `api_key`. `0` is no limit.").
			Default(0).
			Example(200).
			LintRule("root = if this < 0 { [ \"`max_backlog` must be at least 1, or 0 for no limit\" ] }"),
		service.NewDurationField(wfFieldPollInterval).
			Description("With `max_backlog`, how often the length of the queue is asked at most.").
			Default("15s"),
		service.NewObjectField(wfFieldHook,
			service.NewStringField(wfFieldHookURL).
				Description("The URL of the trigger, such as `https://workflows.platform.happyrobot.ai/hooks/<slug>`. Empty starts runs through the API. Whoever knows the URL of a trigger without a key can start runs, so it is kept like a key. It must be that of `workflow`, and say the same cluster and environment as the fields.").
				Secret().
				Default(""),
			service.NewStringField(wfFieldHookKey).
				Description("The key of a trigger with enhanced security, which is not that of the organization. It is sent as `x-api-key`.").
				Secret().
				Default(""),
		).Description("Starts runs through the URL of the workflow's trigger in place of the API. The payload is then all that is sent. `api_key` serves for look-ups alone, and may be left out: then a run of unknown outcome is `held` at once. Even with it a run is not taken for absent before one that this process started was seen to be of `workflow`.").
			Advanced(),
	}})
}

// workflowConfig is what workflowFields say beyond those of every dial.
type workflowConfig struct {
	workflow, refField string
	environment        platform.Environment
	maxBacklog         int
	pollInterval       time.Duration
	hookURL, hookKey   string
}

func (w *workflowConfig) fromParsed(conf *service.ParsedConfig, log *service.Logger) (err error) {
	if w.workflow, err = conf.FieldString(wfFieldWorkflow); err != nil {
		return err
	}
	if err := happyrobot.ValidateOpaqueID(w.workflow); err != nil {
		return fmt.Errorf("%s: must be the UUID or slug of a workflow: %w", wfFieldWorkflow, err)
	}
	environment, err := choice(conf, wfFieldEnvironment, string(platform.Production), string(platform.Staging), string(platform.Development))
	if err != nil {
		return err
	}
	w.environment = platform.Environment(environment)
	if w.maxBacklog, err = conf.FieldInt(wfFieldMaxBacklog); err != nil {
		return err
	}
	if w.maxBacklog < 0 {
		return fmt.Errorf("%s: must be at least 1, or 0 for no limit", wfFieldMaxBacklog)
	}
	if w.pollInterval, err = positiveDuration(conf, wfFieldPollInterval); err != nil {
		return err
	}
	if w.hookURL, err = conf.FieldString(wfFieldHook, wfFieldHookURL); err != nil {
		return err
	}
	if w.hookKey, err = conf.FieldString(wfFieldHook, wfFieldHookKey); err != nil {
		return err
	}
	w.hookKey = withoutLineEnd(wfFieldHook+"."+wfFieldHookKey, w.hookKey, log)
	if w.hookURL == "" && w.hookKey != "" {
		return errors.New("hook.key: is for hook.url, which is empty")
	}
	if w.hookURL != "" {
		cluster, err := choice(conf, cfFieldCluster, string(platform.US), string(platform.EU))
		if err != nil {
			return err
		}
		if err := w.checkHook(platform.Cluster(cluster)); err != nil {
			return err
		}
	}
	if w.refField, err = pathFromParsed(conf, wfFieldRef); err != nil {
		return err
	}
	switch {
	case w.refField == "":
		return fmt.Errorf("%s: must not be empty", wfFieldRef)
	case platform.Hides(w.refField):
		return fmt.Errorf("%s: %s", wfFieldRef, hiddenRef)
	}
	return nil
}

// hiddenRef is why a reference must have another name.
const hiddenRef = "must have no segment that is a name of secrets, such as headers, authorization or api_key: what the API answers there is removed, so no run would be found by it"

// checkHook refuses a URL of a trigger that says another environment or cluster than the
// fields: runs would be looked for where none are. Errors do not show the URL, since that of
// an open trigger is a credential.
func (w *workflowConfig) checkHook(cluster platform.Cluster) error {
	u, err := url.Parse(w.hookURL)
	if err != nil {
		return errors.New("hook.url: must be a URL")
	}
	for _, other := range []platform.Cluster{platform.US, platform.EU} {
		host, err := url.Parse(platform.HookURL(other, "", "slug"))
		if err == nil && other != cluster && strings.EqualFold(host.Hostname(), u.Hostname()) {
			return fmt.Errorf("hook.url: is of the cluster %s, and %s is %s: set the one that is right", other, cfFieldCluster, cluster)
		}
	}
	in := platform.Production
	_, path, _ := strings.Cut(u.Path, "/hooks/")
	if environment, slug, found := strings.Cut(strings.TrimRight(path, "/"), "/"); found && slug != "" {
		in = platform.Environment(environment)
	}
	if !in.Is(w.environment) {
		return fmt.Errorf("hook.url: is of the environment %s, and %s is %s: set the one that is right", in, wfFieldEnvironment, w.environment)
	}
	return nil
}

// hookHost is where the hook is, without the slug of its trigger; "" for none.
func (w *workflowConfig) hookHost() string {
	u, err := url.Parse(w.hookURL)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// pathFromParsed reads a path of members.
func pathFromParsed(conf *service.ParsedConfig, field string) (string, error) {
	path, err := conf.FieldString(field)
	if err != nil || path == "" {
		return "", err
	}
	for name := range strings.SplitSeq(path, ".") {
		if name == "" || strings.TrimSpace(name) != name {
			return "", fmt.Errorf("%s: must be the name of a member, or a path of names with dots between them", field)
		}
	}
	return path, nil
}
