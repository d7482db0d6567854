package starter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// open reads what the triggers of the candidates were given, from the oldest run on, until
// nobody is looked for any more. Two requests a run, and never again for a run that was
// read. A run that cannot be read yet may be anybody's, if the list must be final.
func (l *listing) open(ctx context.Context) error {
	if l.opts.Shared.columns.Load() && !l.want.Final {
		return nil // the column may come
	}
	slices.SortStableFunc(l.candidates, func(a, b platform.Run) int { return a.Created.Compare(b.Created) })
	for i, run := range l.candidates {
		refs, unread, err := l.givenSoon(ctx, run.ID)
		var e *happyrobot.Error
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && (unread == nil || slices.ContainsFunc(refs, l.want.Ours)):
			if unread == nil {
				l.opts.Shared.read(run.ID, refs)
			}
			if !l.match(run, refs) {
				return nil
			}
			continue
		case unread != nil:
		case errors.As(err, &e) && e.Status == http.StatusForbidden && !e.HTML:
			// Nor may it read any other.
			unread = fmt.Errorf("%w; the key may not read what runs were started with, so give it a role that may, or add the reference to the table of runs", err)
			if l.want.Final {
				for _, other := range l.candidates[i:] {
					if !l.give(other, "", unread) {
						return nil
					}
				}
			}
			return nil
		case happyrobot.ClassOf(err).OfThisRequest():
			unread = err
		default:
			return err
		}
		if l.want.Final && !l.give(run, "", fmt.Errorf("a run of that time may be it: %w", unread)) {
			return nil
		}
	}
	return nil
}

// Why what a run was started with cannot be read.
var (
	errNoTriggerYet   = errors.New("its trigger has no output yet")
	errTriggerUnknown = errors.New("which of its nodes is the trigger is not known")
	errDeleted        = errors.New("its data is deleted, since it is older than the workflow keeps it")
)

// mostEarlyReads is how often, in one listing, runs are read again that have no output of their trigger yet. One
// that somebody else just started has it soon, and must keep no lead in doubt.
const mostEarlyReads = 4

// givenSoon is given, which waits a little for a list that must be final.
func (l *listing) givenSoon(ctx context.Context, run string) (refs []string, unread, err error) {
	between := pause.NewGrowing(l.opts.InitialInterval, l.opts.MaxInterval)
	for {
		refs, unread, err = l.given(ctx, run)
		if !errors.Is(unread, errNoTriggerYet) || !l.want.Final || l.waited >= mostEarlyReads || slices.ContainsFunc(refs, l.want.Ours) {
			return refs, unread, err
		}
		l.waited++
		if stopped := pause.Sleep(ctx, between.Next()); stopped != nil {
			return refs, unread, err
		}
	}
}

// given are the references in what the trigger of a run was given. unread is why others may
// be there, or come: then a reference counts, and that there is none does not.
func (l *listing) given(ctx context.Context, run string) (refs []string, unread, err error) {
	trigger := l.opts.Shared.triggerID()
	var nodes []platform.RunNode
	err = l.ask(ctx, func() (err error) {
		nodes, err = l.opts.Asks.ListRunNodes(ctx, run, trigger)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	node, certain := outputOf(nodes, trigger)
	if node.OutputID == "" {
		return nil, errNoTriggerYet, nil
	}
	var output platform.NodeOutput
	err = l.ask(ctx, func() (err error) {
		output, err = l.opts.Asks.GetRunOutput(ctx, run, node.OutputID)
		return err
	})
	switch {
	case err != nil:
		return nil, nil, err
	case output.Deleted:
		return nil, errDeleted, nil
	}
	refs, final := l.refsGiven(output)
	switch {
	case !certain:
		unread = errTriggerUnknown
	case !final:
		unread = errNoTriggerYet
	}
	return refs, unread, nil
}

// outputOf is the trigger among the nodes that ran, which has no OutputID if it has no output
// yet. certain says that it is the trigger: else it is only the first node with an output.
func outputOf(nodes []platform.RunNode, trigger string) (node platform.RunNode, certain bool) {
	for _, n := range nodes {
		switch {
		case n.OutputID == "":
		case trigger != "" && strings.EqualFold(n.PersistentID, trigger):
			return n, true
		case node.OutputID == "" && (trigger == "" || n.PersistentID == ""):
			node = n
		}
	}
	return node, false
}

// refsGiven are the references in an output. They are final if one is at its own place, or
// if the node is over and gave anything: an output that is read early may be the envelope
// without the payload.
func (s *Starter) refsGiven(output platform.NodeOutput) (refs []string, final bool) {
	if ref := s.places.inData(output.Data); ref != "" {
		return []string{ref}, true
	}
	data := gjson.ParseBytes(output.Data)
	final = platform.RunStatus(output.Status).Over() && data.IsObject() && len(data.Map()) > 0
	return quoted(output.Data), final
}
