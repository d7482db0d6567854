package plugin

import (
	"context"
	"fmt"
	"slices"

	"github.com/Jeffail/gabs/v2"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

const fieldOutputs = "outputs"

// Parts of a run that are read apart from it, and members of their names that a run in a
// message has.
const (
	partSessions   = "sessions"
	partRecordings = "recordings"
	partOutputs    = "outputs"
	partCredits    = "credits"

	memberOutcome = "outcome" // of a run in a message
)

var runPartNames = []string{partSessions, partTranscript, partRecordings, partOutputs, partCredits}

// runParts reads what belongs to a run.
type runParts struct {
	api     *platform.Client
	include []string
	outputs []string // names or persistent ids of nodes
	texts   *transcriptTexts
}

func runPartsFields() []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringListField(fieldInclude).
			Description("What to read besides the run itself: `sessions` (its calls and chats, from the oldest on), `transcript` (what was said in them), `recordings` (signed URLs, which expire), `outputs` (of the nodes in `outputs`), `credits` (what the run cost). Each costs requests: see below.").
			Default([]any{partSessions}).
			LintRule(`root = if this.type() != "array" && !["sessions","transcript","recordings","outputs","credits"].contains(this) { [ "` + "`include`" + ` can hold sessions, transcript, recordings, outputs and credits" ] }`),
		service.NewStringListField(fieldOutputs).
			Description("The nodes of the workflow whose outputs to read, by name or persistent id. `include` must hold `outputs`.").
			Default([]any{}).
			Example([]any{"AI Extract"}),
	}
}

// outputsLint refuses names without their part, and the part without names.
const outputsLint = "root = match {\n" + outputsLintCases + "\n}"

const outputsLintCases = `  this.outputs.or([]).type() == "array" && this.outputs.or([]).length() > 0 && !this.include.or(["sessions"]).contains("outputs") => [ "` + "`outputs`" + ` needs outputs in ` + "`include`" + `" ],
  this.include.or(["sessions"]).type() == "array" && this.include.or(["sessions"]).contains("outputs") && this.outputs.or([]).length() == 0 => [ "` + "`include`" + ` holds outputs, so ` + "`outputs`" + ` must name the nodes" ],`

func (p *runParts) fromParsed(conf *service.ParsedConfig, res *service.Resources) (err error) {
	p.texts = newTranscriptTexts(res, "transcript.messages")
	if p.include, err = conf.FieldStringList(fieldInclude); err != nil {
		return err
	}
	for _, part := range p.include {
		if !slices.Contains(runPartNames, part) {
			return fmt.Errorf("%s: %q is not one of %v", fieldInclude, part, runPartNames)
		}
	}
	if p.outputs, err = conf.FieldStringList(fieldOutputs); err != nil {
		return err
	}
	switch has := p.has(partOutputs); {
	case slices.Contains(p.outputs, ""):
		return fmt.Errorf("%s: a name must not be empty", fieldOutputs)
	case len(p.outputs) > 0 && !has:
		return fmt.Errorf("%s: needs outputs in %s", fieldOutputs, fieldInclude)
	case len(p.outputs) == 0 && has:
		return fmt.Errorf("%s: must name the nodes, since %s holds outputs", fieldOutputs, fieldInclude)
	}
	return nil
}

func (p *runParts) has(part string) bool { return slices.Contains(p.include, part) }

// runObject is a run as the API reports it, with workflow_id also where a list calls it
// use_case_id.
func runObject(run platform.Run) (*gabs.Container, error) {
	object, err := jsonObject(run.Raw)
	if err == nil && run.WorkflowID != "" && !object.Exists("workflow_id") {
		_, err = object.Set(run.WorkflowID, "workflow_id")
	}
	return object, err
}

// runLasting is what stays as it is once a run is over.
type runLasting struct {
	sessions []platform.Session // from the oldest on
	listed   bool               // all of them were read
	messages map[string][]platform.Message
	outputs  map[string]any // nil when none were asked for
	credits  any
	complete bool // all of it is there
}

// read reads the parts of a run that stay. all reads the sessions whatever include says.
func (p *runParts) read(ctx context.Context, id string, over, all bool) (found runLasting, err error) {
	found.complete = over
	if all || p.has(partSessions) || p.has(partTranscript) {
		if err := p.readSessions(ctx, id, &found); err != nil {
			return found, err
		}
	}
	if p.has(partOutputs) {
		if err := p.readOutputs(ctx, id, &found); err != nil {
			return found, err
		}
	}
	if p.has(partCredits) && over {
		credits, err := p.api.GetRunCredits(ctx, id)
		switch {
		case happyrobot.IsNotFound(err): // they may come, and whether a workspace has none cannot be told
			found.complete = false
		case err != nil:
			return found, err
		default:
			if found.credits, err = structured(credits.Raw); err != nil {
				return found, err
			}
		}
	}
	return found, nil
}

// readSessions reads the sessions of a run and what was said in those that are over. A
// session that is not over, or that was completed without a word, is not all there.
func (p *runParts) readSessions(ctx context.Context, id string, found *runLasting) error {
	found.messages = map[string][]platform.Message{}
	found.listed = true
	for session, err := range p.api.ListRunSessions(ctx, id) {
		if happyrobot.IsNotFound(err) { // of a run that is there: it says nothing of how many there are
			found.listed, found.complete = false, false
			break
		}
		if err != nil {
			found.listed = false
			return err
		}
		found.sessions = append(found.sessions, session)
	}
	platform.SortSessions(found.sessions)
	for _, session := range found.sessions {
		if !session.Status.Over() && session.Status.Known() {
			found.complete = false
			continue
		}
		if !p.has(partTranscript) || session.ID == "" {
			continue
		}
		for message, err := range p.api.ListMessages(ctx, session.ID) {
			if happyrobot.IsNotFound(err) {
				break
			}
			if err != nil {
				return err
			}
			found.messages[session.ID] = append(found.messages[session.ID], message)
		}
		if len(found.messages[session.ID]) == 0 && session.Status.Is(platform.SessionCompleted) {
			found.complete = false
		}
	}
	return nil
}

// readOutputs reads what the nodes produced that are asked for, by the names under which
// they are. One that is not there may come: it exists only once its node has run.
func (p *runParts) readOutputs(ctx context.Context, id string, found *runLasting) error {
	found.outputs = map[string]any{}
	nodes, err := p.api.ListRunNodes(ctx, id, "")
	if happyrobot.IsNotFound(err) {
		found.complete = false
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range p.outputs {
		ran := platform.FindNodes(nodes, name)
		if len(ran) == 0 {
			found.complete = false
			continue
		}
		last := latestNode(ran)
		if status := platform.RunStatus(last.Status); status.Known() && !status.Over() {
			found.complete = false
			continue
		}
		output, err := p.api.GetRunOutput(ctx, id, last.OutputID)
		switch {
		case happyrobot.IsNotFound(err):
			found.complete = false
		case err != nil:
			return err
		case output.Value() == nil:
			found.outputs[name] = nil
		default:
			if found.outputs[name], err = structured(output.Value()); err != nil {
				return err
			}
		}
	}
	return nil
}

// latestNode is the execution that began last of one or more. Of those that began at the
// same time, it is the last of the list.
func latestNode(ran []platform.RunNode) (last platform.RunNode) {
	for _, node := range ran {
		if !node.Created.Before(last.Created) {
			last = node
		}
	}
	return last
}

// addTo puts the parts into the object of a run, of these sessions only.
func (p *runParts) addTo(result *gabs.Container, found runLasting, sessions []platform.Session) error {
	last, ok := platform.LastSession(sessions)
	// A run that is over goes no further, so a session of it that is queued tells no outcome.
	if unfinished := runStatus(result).Over() && last.Status.Known() && !last.Status.Over(); ok && last.Status != "" && !unfinished {
		if _, err := result.Set(string(last.Status.Canonical()), memberOutcome); err != nil {
			return err
		}
	}
	if p.has(partSessions) {
		list := make([]any, len(sessions))
		for i, session := range sessions {
			var err error
			if list[i], err = structured(session.Raw); err != nil {
				return err
			}
		}
		if _, err := result.Set(list, partSessions); err != nil {
			return err
		}
	}
	if p.has(partTranscript) {
		if err := p.addTranscript(result, found, sessions); err != nil {
			return err
		}
	}
	if found.outputs != nil {
		outputs, err := clone(found.outputs)
		if err != nil {
			return err
		}
		if _, err := result.Set(outputs, partOutputs); err != nil {
			return err
		}
	}
	if found.credits != nil {
		credits, err := clone(found.credits)
		if err != nil {
			return err
		}
		_, err = result.Set(credits, partCredits)
		return err
	}
	return nil
}

// addTranscript adds what was said in sessions, if anything was written down.
func (p *runParts) addTranscript(result *gabs.Container, found runLasting, sessions []platform.Session) error {
	var said []platform.Message
	for _, session := range sessions {
		said = append(said, found.messages[session.ID]...)
	}
	if len(said) == 0 {
		return nil
	}
	messages := make([]any, len(said))
	for i, message := range said {
		var err error
		if messages[i], err = structured(message.Raw); err != nil {
			return err
		}
	}
	transcript := gabs.Wrap(map[string]any{"messages": messages})
	if err := p.texts.add(transcript, platform.Transcript(said)); err != nil {
		return err
	}
	_, err := result.Set(transcript.Data(), partTranscript)
	return err
}

// addRecordings adds where the recordings are. URLs expire, so they are asked for each
// time. Of several sessions only those that are given are wanted; none is all.
func (p *runParts) addRecordings(ctx context.Context, id string, results map[string]*gabs.Container) error {
	if !p.has(partRecordings) {
		return nil
	}
	recordings, err := p.api.ListRecordings(ctx, id, 0)
	if err != nil && !happyrobot.IsNotFound(err) {
		return err
	}
	for session, result := range results {
		list := []any{}
		for _, r := range recordings {
			if session != "" && r.SessionID != session {
				continue
			}
			recording, err := structured(r.Raw)
			if err != nil {
				return err
			}
			list = append(list, recording)
		}
		if _, err := result.Set(list, partRecordings); err != nil {
			return err
		}
	}
	return nil
}

// clone is a copy of a decoded value: messages must not share what they may change.
func clone(value any) (any, error) {
	msg := service.NewMessage(nil)
	msg.SetStructured(value)
	return msg.Copy().AsStructuredMut()
}
