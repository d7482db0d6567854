package platform

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Options of a Sim. The zero value is usable.
type Options struct {
	APIKey            string        // "" takes any bearer token
	Role              string        // of the key: Owner (default) or Viewer, which may start nothing
	KeyExpires        time.Time     // zero: never
	Workflows         []Workflow    // none: one, with the slug DefaultWorkflow
	Seed              uint64        // 0 draws one
	Speed             float64       // how much faster than the wall runs live; default 60
	Answers           []Answer      // forms of a trigger's answer, drawn for each; default all but AnswerTwo and AnswerNone
	Concurrent        int           // runs at a time, the others wait as scheduled; default 100, negative for no limit
	Visibility        time.Duration // until a new run is listed and read; default 20ms, negative for none
	OutputDelay       time.Duration // simulated time from a run's end to the outputs of its last nodes; default 10s, negative for none
	RecordingDelay    time.Duration // simulated time from a session's end to its recording; default 20s, negative for none
	Retention         time.Duration // simulated time from a run's end until its data is deleted; 0 is never
	RateLimit         int           // API requests a second, further ones are refused with 429; 0 is none
	Latency           time.Duration // of every answer
	ClockSkew         time.Duration // the API's clock less the wall's, see SetClock
	Date              string        // the header of every answer: "" is the API's clock, "wall" a proxy's, "none" leaves it out, else as it is
	CreatedResolution time.Duration // times of creation are cut to it; 0 cuts to milliseconds
	Lenient           bool          // what the description does not know is passed over, not refused
	Webhooks          Webhooks      // who is told of sessions and results
	CutPages          bool          // a page_size above the maximum is cut, not refused
	ExclusiveDates    bool          // start_date, end_date and the like leave out their own moment
	SnakePages        bool          // lists of runs have snake_case pages, too, as the SDK has it
	Wrapped           bool          // a workflow stands in data, as one client takes it
	HookHost          string        // the only Host at which hooks are, others redirect to a login page; "" is any
}

// Answer is a form of a trigger's answer.
type Answer string

// Forms of a trigger's answer.
const (
	AnswerRunID  Answer = "run_id"
	AnswerQueued Answer = "queued_run_ids"
	AnswerBoth   Answer = "both"
	AnswerTwo    Answer = "two"  // queued_run_ids with two ids, the second of which is of no run
	AnswerNone   Answer = "none" // no id at all
)

// DefaultWorkflow is the slug of the workflow that there is when none is given, and its
// hook's slug.
const DefaultWorkflow = "appointment-reminders"

// Triggers of a workflow.
const (
	IncomingHook      = "incoming_hook"      // its output nests what was sent under data
	PredefinedRequest = "predefined_request" // its output is what was sent
	FunctionRequest   = "function_request"   // cannot be started from outside: 404
)

// What a workflow does with several triggers.
const (
	Parallel   = "parallel"
	Sequential = "sequential" // one run at a time
	Group      = "group"      // two triggers make one run, while it is scheduled
)

// When a trigger's members are columns of the list of runs.
const (
	ColumnsAtOnce = "at_once"
	ColumnsLate   = "late" // when the run is over
	ColumnsNone   = "none"
)

// Workflow is one workflow of the organization.
type Workflow struct {
	ID           string   `json:"id,omitempty"`                   // default one made from its place in the list
	Slug         string   `json:"slug,omitempty"`                 // default its name
	Name         string   `json:"name,omitempty"`                 // default its slug
	Trigger      string   `json:"trigger,omitempty"`              // default IncomingHook
	MultiEvent   string   `json:"multi_event_behavior,omitempty"` // default Parallel
	Environments []string `json:"environments,omitempty"`         // those with a live version; default production
	HookSlug     string   `json:"hook_slug,omitempty"`            // default its slug
	HookKey      string   `json:"hook_key,omitempty"`             // of its hook, as x-api-key; "" is open
	PhoneField   string   `json:"phone_field,omitempty"`          // dotted path of the number in the payload; default the first of phone_number, phone, to
	Columns      string   `json:"columns,omitempty"`              // default ColumnsAtOnce
}

// Environments of a run.
const (
	Production  = "production"
	Staging     = "staging"
	Development = "development"
)

var environments = []string{Production, Staging, Development}

// Validate reports a word that is none: a Sim with it would not do what it says.
func (o Options) Validate() error {
	check := func(where, word string, known ...string) error {
		if word != "" && !slices.Contains(known, word) {
			return fmt.Errorf("%s: %q is none of %s", where, word, strings.Join(known, ", "))
		}
		return nil
	}
	err := check("role", o.Role, Owner, Viewer)
	for _, form := range o.Answers {
		err = errors.Join(err, check("answers", string(form), string(AnswerRunID), string(AnswerQueued), string(AnswerBoth), string(AnswerTwo), string(AnswerNone)))
	}
	for i, w := range o.Workflows {
		at := fmt.Sprintf("workflow %d: ", i+1)
		err = errors.Join(err, check(at+"trigger", w.Trigger, IncomingHook, PredefinedRequest, FunctionRequest),
			check(at+"multi_event_behavior", w.MultiEvent, Parallel, Sequential, Group), check(at+"columns", w.Columns, ColumnsAtOnce, ColumnsLate, ColumnsNone))
		for _, environment := range w.Environments {
			err = errors.Join(err, check(at+"environments", environment, environments...))
		}
	}
	return err
}

// withDefaults are the options with what is not given.
func (o Options) withDefaults() Options {
	if o.Speed == 0 {
		o.Speed = 60
	}
	if len(o.Answers) == 0 {
		o.Answers = []Answer{AnswerRunID, AnswerQueued, AnswerBoth}
	}
	if len(o.Workflows) == 0 {
		o.Workflows = []Workflow{{Slug: DefaultWorkflow, Name: "Appointment reminders"}}
	}
	o.Concurrent = cmp.Or(o.Concurrent, 100)
	for option, byDefault := range map[*time.Duration]time.Duration{
		&o.Visibility: 20 * time.Millisecond, &o.OutputDelay: 10 * time.Second, &o.RecordingDelay: 20 * time.Second, &o.CreatedResolution: time.Millisecond,
	} {
		*option = max(0, cmp.Or(*option, byDefault))
	}
	return o
}
