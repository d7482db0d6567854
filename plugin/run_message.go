package plugin

import (
	"context"
	"time"

	"github.com/Jeffail/gabs/v2"
	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// runContent is what belongs to a run that is streamed: the contents of its messages.
type runContent []sessionContent

// sessionContent is the content of one message: of a run, or with emit: session of one of
// its sessions.
type sessionContent struct {
	session string // its id; "" for the run
	content any
}

// readParts reads what belongs to a run that is over. What could be read is handed on
// with an error, too, should the rest never come.
func (in *runsInput) readParts(ctx context.Context, item callfeed.Item) (any, bool, error) {
	run, _ := item.Object.(platform.Run)
	columns := item.Listed
	if !columns {
		var err error
		if run, columns, err = in.asListed(ctx, run); err != nil {
			return nil, false, err
		}
	}
	found, err := in.parts.read(ctx, run.ID, true, in.sessions)
	content, recordings := in.contentOf(ctx, run, found)
	if err == nil {
		err = recordings
	}
	if content == nil || in.sessions && !found.listed {
		return nil, false, err
	}
	return content, columns && found.complete && err == nil, err
}

// asListed is a run with the columns that only a list has: one that was read by itself is
// looked for among those created with it. found is false where it is not among them, as it
// may be for a while; then it is the run as it came.
func (in *runsInput) asListed(ctx context.Context, run platform.Run) (as platform.Run, found bool, err error) {
	if run.Created.IsZero() || run.WorkflowID == "" {
		return run, false, nil
	}
	q := platform.RunQuery{From: run.Created.Add(-dateMargin), To: run.Created.Add(dateMargin), Sort: platform.Ascending, PageSize: relistedRuns, Once: true}
	for listed, err := range in.parts.api.ListRuns(ctx, run.WorkflowID, q) {
		switch {
		case happyrobot.IsNotFound(err):
			return run, false, nil
		case err != nil:
			return run, false, err
		case listed.ID == run.ID && listed.Status.Over():
			return listed, true, nil
		case listed.ID == run.ID, listed.Created.After(q.To.Add(dateMargin)): // should the API not heed the date
			return run, false, nil
		}
	}
	return run, false, nil
}

// dateMargin is more than the bounds of a list may be off by: nobody says whether they are
// inclusive.
const dateMargin = time.Second

// contentOf makes the contents of a run's messages.
func (in *runsInput) contentOf(ctx context.Context, run platform.Run, found runLasting) (runContent, error) {
	groups := [][]platform.Session{found.sessions}
	if in.sessions {
		groups = nil
		for i := range found.sessions {
			groups = append(groups, found.sessions[i:i+1])
		}
	}
	results := map[string]*gabs.Container{}
	content := make(runContent, 0, len(groups))
	for _, sessions := range groups {
		result, err := runObject(run)
		if err != nil {
			return nil, err
		}
		if err := in.parts.addTo(result, found, sessions); err != nil {
			return nil, err
		}
		one := sessionContent{content: result.Data()}
		if in.sessions {
			one.session = sessions[0].ID
		}
		results[one.session] = result
		content = append(content, one)
	}
	return content, in.parts.addRecordings(ctx, run.ID, results)
}

// messagesOf are the messages of a run that is streamed.
func (in *runsInput) messagesOf(e *callfeed.Event) service.MessageBatch {
	run, _ := e.Item.Object.(platform.Run)
	content, read := e.Content.(runContent)
	if !read { // it is not over, or nothing could be read
		if in.sessions {
			in.unlisted.Do(func() {
				in.log.Warnf("Emitting a run without its sessions: they could not be listed, or its status is unknown. happyrobot_outcome says so of each such message; this is logged once. The run is %s", run.ID)
			})
		}
		content = runContent{{}}
		if result, err := runObject(run); err == nil {
			content[0].content = result.Data()
		}
	}
	batch := make(service.MessageBatch, len(content))
	for i, one := range content {
		msg := service.NewMessage(run.Raw)
		if one.content != nil {
			msg.SetStructured(one.content) // a refused event is made a message again
		}
		for name, value := range map[string]string{
			words.MetaRunID:          run.ID,
			words.MetaSessionID:      one.session,
			words.MetaRunStatus:      string(run.Status.Canonical()),
			words.MetaPreviousStatus: string(platform.RunStatus(e.Previous).Canonical()),
			words.MetaOutcome:        e.Outcome,
		} {
			if value != "" {
				msg.MetaSetMut(name, value)
			}
		}
		batch[i] = msg
	}
	return batch
}
