package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"

	"github.com/Jeffail/gabs/v2"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

// runLookup reads runs and their parts, for a lookup.
type runLookup struct{ runParts }

func (l *runLookup) over(result *gabs.Container) bool { return runStatus(result).Over() }

func (l *runLookup) missing(*gabs.Container) string { return "the end of the run is" }

// runStatus is the status of a run that was found, "" for none.
func runStatus(result *gabs.Container) platform.RunStatus {
	s, _ := result.S("status").Data().(string)
	return platform.RunStatus(s)
}

func (l *runLookup) read(ctx context.Context, id string) (*gabs.Container, bool, error) {
	run, err := l.api.GetRun(ctx, id)
	if err != nil {
		return nil, false, err
	}
	result, err := runObject(run)
	if err != nil {
		return nil, false, err
	}
	found, err := l.runParts.read(ctx, id, run.Status.Over(), false)
	if err != nil {
		return nil, false, err
	}
	return result, found.complete, l.addTo(result, found, found.sessions)
}

func (l *runLookup) refresh(ctx context.Context, id string, result *gabs.Container) error {
	return l.addRecordings(ctx, id, map[string]*gabs.Container{"": result})
}

// key names a finished run in the cache. Lookups that include different parts do not share
// an entry.
func (l *runLookup) key(id string) string {
	parts := slices.DeleteFunc(slices.Clone(l.include), func(p string) bool { return p == partRecordings })
	lists := [][]string{parts, slices.Clone(l.outputs)}
	for i, list := range lists {
		slices.Sort(list)
		lists[i] = slices.Compact(list)
	}
	wanted := sha256.Sum256(gabs.Wrap(lists).Bytes()) // names of nodes may hold any character
	return store.FlatName("happyrobot_run/2/" + hex.EncodeToString(wanted[:8]) + "/" + id)
}

func (l *runLookup) usable(result *gabs.Container, id string) bool { return tells(result, "id", id) }

// tells says whether an entry of the cache has a text of this name and value.
func tells(result *gabs.Container, name, value string) bool {
	text, ok := result.S(name).Data().(string)
	return ok && text == value
}

// sessionLookup finds the runs of sessions, for a lookup.
type sessionLookup struct{ api *platform.Client }

const memberRunID = "run_id"

func (l sessionLookup) over(*gabs.Container) bool { return true }

func (l sessionLookup) missing(*gabs.Container) string { return "the run is" }

func (l sessionLookup) read(ctx context.Context, id string) (*gabs.Container, bool, error) {
	session, err := l.api.GetSession(ctx, id)
	if err != nil {
		return nil, false, err
	}
	if session.RunID == "" {
		return nil, false, &happyrobot.Error{Op: "getSession", Status: http.StatusOK, Err: fmt.Errorf("decoding the reply: %w: the session does not say which run it is of", happyrobot.ErrOtherForm)}
	}
	return gabs.Wrap(map[string]any{"id": id, memberRunID: session.RunID}), true, nil
}

func (l sessionLookup) refresh(context.Context, string, *gabs.Container) error { return nil }

func (l sessionLookup) key(id string) string { return store.FlatName("happyrobot_run/1/session/" + id) }

func (l sessionLookup) usable(result *gabs.Container, id string) bool {
	return tells(result, "id", id) && runOf(result) != ""
}

// runOf is the run of a session that was found, "" for none.
func runOf(session *gabs.Container) string {
	id, _ := session.S(memberRunID).Data().(string)
	return id
}
