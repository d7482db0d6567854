package starter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
)

// Careful is a Starter that distrusts two things. A list of the workflow's runs says nothing
// of what a hook starts, until a run of the hook is seen to be the workflow's: absence is not
// proven before. And a run that was the answer to one lead is not the answer to another.
type Careful struct {
	*Starter
	report CarefulReports

	mu       sync.Mutex
	run      string           // that the hook started last
	proven   bool             // the hook starts runs of the workflow
	leads    recent[string]   // the reference that a run is the answer to, by the run's id
	shared   recent[struct{}] // references that were answered with the run of another
	other    sync.Once
	sharings sync.Once
}

// CarefulReports are told once each.
type CarefulReports struct {
	OtherWorkflow func(why error) // the hook starts runs of another workflow, as far as can be told
	SameRun       func()          // two leads were answered with one run
}

// Careful wraps a starter.
func (s *Starter) Careful(report CarefulReports) *Careful {
	return &Careful{Starter: s, report: report}
}

var _ dialer.API = (*Careful)(nil)

var (
	errSameRun = errors.New("the answer named a run that was the answer to another lead, so nobody knows whether this one was started: the trigger may put several leads into one run")
	errNoProof = errors.New("no run that this process started through hook has been seen to be of this workflow, so its list of runs does not say that one was not started")
)

// Place implements dialer.API. An answer that names the run of another lead leaves this lead
// in doubt.
func (c *Careful) Place(ctx context.Context, calls []*dialer.Call) ([]dialer.PlacedCall, error) {
	placed, err := c.Starter.Place(ctx, calls)
	if err != nil {
		if statusOf(err) == http.StatusNotFound {
			c.doubt()
		}
		return nil, err
	}
	if !c.note(placed[0]) {
		c.doubt()
		c.sharings.Do(c.report.SameRun)
		return nil, errSameRun
	}
	return placed, nil
}

// doubt has the workflow checked again before anything else is started.
func (c *Careful) doubt() {
	if c.preflight != nil {
		c.preflight.doubt()
	}
}

// note notes whose a run is. It says whether that is nobody else's.
func (c *Careful) note(placed dialer.PlacedCall) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if of, known := c.leads.get(placed.ID); known && of != placed.Ref {
		c.shared.add(placed.Ref, struct{}{})
		return false
	}
	c.leads.add(placed.ID, placed.Ref)
	c.run = placed.ID
	return true
}

// List implements dialer.API.
func (c *Careful) List(ctx context.Context, want dialer.Listing) iter.Seq2[dialer.PlacedCall, error] {
	return func(yield func(dialer.PlacedCall, error) bool) {
		var doubts []error
		if want.Final && c.opts.Hook && c.opts.Asks != nil {
			if err := c.prove(ctx, want); err != nil {
				doubts = append(doubts, err)
			}
		}
		if c.sharing(want.Ours) {
			doubts = append(doubts, errSameRun)
		}
		for placed, err := range c.Starter.List(ctx, want) {
			if err == nil && placed.Ref != "" && c.sharing(func(ref string) bool { return ref == placed.Ref }) {
				placed.Ref, placed.NoRef = "", errSameRun
			}
			if !yield(placed, err) || err != nil {
				return
			}
		}
		for _, doubt := range doubts {
			// A run without a reference, which may be anybody's: what is not listed is held.
			if !yield(dialer.PlacedCall{NoRef: doubt}, nil) {
				return
			}
		}
	}
}

// sharing says whether one of these references was answered with the run of another.
func (c *Careful) sharing(ours func(ref string) bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, refs := range [...]map[string]struct{}{c.shared.now, c.shared.before} {
		for ref := range refs {
			if ours(ref) {
				return true
			}
		}
	}
	return false
}

// prove says why nobody knows that the hook starts runs of the workflow; nil if it does.
func (c *Careful) prove(ctx context.Context, want dialer.Listing) error {
	c.mu.Lock()
	id, proven := c.run, c.proven
	c.mu.Unlock()
	switch {
	case proven:
		return nil
	case id == "":
		return errNoProof
	}
	l := &listing{Starter: c.Starter, want: want}
	var run platform.Run
	err := l.ask(ctx, func() (err error) {
		run, err = c.opts.Asks.GetRun(ctx, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: %w", errNoProof, err)
	}
	if run.WorkflowID == "" || !strings.EqualFold(run.WorkflowID, c.opts.Workflow) {
		var workflow platform.Workflow
		err := l.ask(ctx, func() (err error) {
			workflow, err = c.opts.Asks.GetWorkflow(ctx, c.opts.Workflow)
			return err
		})
		if err != nil {
			return fmt.Errorf("%w: %w", errNoProof, err)
		}
		if run.WorkflowID == "" || !strings.EqualFold(run.WorkflowID, workflow.ID) {
			err := fmt.Errorf("%w: the last one is of another workflow, or the API does not say of which; check that hook.url is that of workflow", errNoProof)
			c.other.Do(func() { c.report.OtherWorkflow(err) })
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proven = true
	return nil
}
