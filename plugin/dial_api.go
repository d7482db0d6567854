package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
)

// refMember is the member of a call's metadata that carries our reference. The
// API is expected to hand it back as metadata.custom.dial_ref.
const refMember = "dial_ref"

// listPage is how many calls of the list are asked for at a time. The API documents that
// it gives 2000 by default, and less than 2000: what both allow for, with some room.
const listPage = 1000

// lists holds what the dials of this process share for each API and key, for as long as
// it lives: streams come and go.
var lists sync.Map

func sharedLists(api any) *dialer.Shared {
	shared, _ := lists.LoadOrStore(api, &dialer.Shared{})
	return shared.(*dialer.Shared)
}

// newestCalls is among how many of the newest calls one is looked for whose time can be read.
const newestCalls = 10

// newCall names a call after its dedupe key, or after its contents if that is empty, and
// marks it with the reference, which only a salt tells from the name in the ledger. The
// message's own metadata is not changed. size is
// that of the call as JSON without the mark, in bytes.
func newCall(dedupeKey, salt string, request happyrobot.OutboundCall) (call dialer.Call, size int, err error) {
	if _, theirs := request.Metadata[refMember]; theirs {
		request.Metadata = maps.Clone(request.Metadata)
		delete(request.Metadata, refMember) // the name is ours
	}
	encoded, err := request.Encode()
	if err != nil {
		return dialer.Call{}, 0, fmt.Errorf("encoding the call: %w", err)
	}
	call.Key, call.Fingerprint = dialer.Identify(dedupeKey, encoded.Bytes())
	call.Ref = dialer.Reference(call.Key, salt)
	call.Number, call.Body = encoded.Number(), encoded.Mark(refMember, call.Ref).Bytes()
	return call, len(encoded.Bytes()), nil
}

// dialAPI is a dialer's view of v1. Reads wait for the rate limit here. Requests that
// place calls do not: the dialer has waited for it before it claimed them.
type dialAPI struct{ posts, reads *happyrobot.Client }

// Place implements dialer.API.
func (a dialAPI) Place(ctx context.Context, calls []*dialer.Call) ([]dialer.PlacedCall, error) {
	bodies := make([][]byte, len(calls))
	for i, c := range calls {
		bodies[i] = c.Body
	}
	created, err := a.posts.CreateEncodedCalls(ctx, bodies)
	if err != nil {
		return nil, err
	}
	placed := make([]dialer.PlacedCall, len(created))
	for i := range created {
		c := &created[i]
		placed[i] = placedCall(c.ID, c.Metadata, c.Created, c.Raw)
	}
	return placed, nil
}

// List implements dialer.API. Offset paging from the oldest call on is the order in
// which new calls do not shift pages.
func (a dialAPI) List(ctx context.Context, want dialer.Listing) iter.Seq2[dialer.PlacedCall, error] {
	return func(yield func(dialer.PlacedCall, error) bool) {
		newest, err := a.newest(ctx, want.Once)
		if err != nil {
			yield(dialer.PlacedCall{}, err)
			return
		}
		query := happyrobot.ListCallsQuery{Type: happyrobot.Outbound, From: want.From(newest), Sort: "asc", Limit: listPage, Once: want.Once}
		for c, err := range a.reads.ListCalls(ctx, query) {
			if !yield(placedCall(c.ID, c.Metadata, c.Created, c.Raw), err) {
				return
			}
		}
	}
}

// newest says when the newest call was created, by the API's clock.
func (a dialAPI) newest(ctx context.Context, once bool) (time.Time, error) {
	query := happyrobot.ListCallsQuery{Type: happyrobot.Outbound, Sort: "desc", Limit: newestCalls, Once: once}
	seen := 0
	for c, err := range a.reads.ListCalls(ctx, query) {
		if seen++; err != nil || !c.Created.IsZero() || seen == newestCalls {
			return c.Created, err
		}
	}
	return time.Time{}, nil
}

func placedCall(id string, m happyrobot.CallMetadata, created time.Time, raw json.RawMessage) dialer.PlacedCall {
	return dialer.PlacedCall{ID: id, Ref: m.CustomText(refMember), Number: m.To, Created: created, Raw: raw}
}
