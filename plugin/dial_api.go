package plugin

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
)

// refMember is the member of a call's metadata that carries our reference. The
// API is expected to hand it back as metadata.custom.dial_ref.
const refMember = "dial_ref"

// listPage is the most calls in a page of the list that the API gives.
const listPage = 500

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
		placed[i] = dialer.PlacedCall{ID: c.ID, Ref: c.Metadata.CustomText(refMember), Number: c.Metadata.To, Created: c.Created, Raw: c.Raw}
	}
	return placed, nil
}

// List implements dialer.API. Offset paging from the oldest call on is the order in
// which new calls do not shift pages.
func (a dialAPI) List(ctx context.Context, since time.Time, once bool) iter.Seq2[dialer.PlacedCall, error] {
	query := happyrobot.ListCallsQuery{Type: happyrobot.Outbound, From: since, Sort: "asc", Limit: listPage, Once: once}
	return func(yield func(dialer.PlacedCall, error) bool) {
		for c, err := range a.reads.ListCalls(ctx, query) {
			placed := dialer.PlacedCall{ID: c.ID, Ref: c.Metadata.CustomText(refMember), Number: c.Metadata.To, Created: c.Created, Raw: c.Raw}
			if !yield(placed, err) {
				return
			}
		}
	}
}
