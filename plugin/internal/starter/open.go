package starter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
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
		refs, unread, err := l.given(ctx, run.ID)
		var e *happyrobot.Error
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err == nil && unread == nil:
			l.opts.Shared.read(run.ID, refs)
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

// refText is the form of a reference.
var refText = regexp.MustCompile(`^[0-9a-f]{32}$`)

// Why what a run was started with cannot be read.
var (
	errNoTriggerYet = errors.New("its trigger has no output yet")
	errDeleted      = errors.New("its data is deleted, since it is older than the workflow keeps it")
)

// given are the references in what the trigger of a run was given. unread is why that is
// not there.
func (s *Starter) given(ctx context.Context, run string) (refs []string, unread, err error) {
	trigger := s.opts.Shared.triggerID()
	var nodes []platform.RunNode
	err = s.ask(ctx, func() (err error) {
		nodes, err = s.opts.Asks.ListRunNodes(ctx, run, trigger)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	at := slices.IndexFunc(nodes, func(n platform.RunNode) bool {
		return n.OutputID != "" && (trigger == "" || n.PersistentID == "" || strings.EqualFold(n.PersistentID, trigger))
	})
	if at < 0 {
		return nil, errNoTriggerYet, nil
	}
	var output platform.NodeOutput
	err = s.ask(ctx, func() (err error) {
		output, err = s.opts.Asks.GetRunOutput(ctx, run, nodes[at].OutputID)
		return err
	})
	switch {
	case err != nil:
		return nil, nil, err
	case output.Deleted:
		return nil, errDeleted, nil
	case len(output.Data) == 0:
		return nil, errNoTriggerYet, nil
	}
	refs = []string{}
	for text := range platform.Texts(output.Data) {
		if text = strings.TrimSpace(text); refText.MatchString(text) {
			refs = append(refs, text)
		}
	}
	return refs, nil, nil
}
