package callfeed_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// oneCall is an API that has one call.
type oneCall struct{ happyrobot.Call }

func (c oneCall) ListCallsPage(context.Context, happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	return []happyrobot.Call{c.Call}, nil
}

func (c oneCall) GetCall(context.Context, string) (happyrobot.Call, error) { return c.Call, nil }

// What is taken for a call of another direction is never emitted.
func TestADirectionIsTheSameInEverySpelling(t *testing.T) {
	for direction, foreign := range map[happyrobot.CallType]bool{
		"Outbound": false, "outbound": false, "OUT-BOUND": false, "": false, "Inbound": true, "inbound": true,
	} {
		api := callfeed.Calls{
			API:    oneCall{happyrobot.Call{ID: "a", Type: direction, Status: happyrobot.StatusCompleted}},
			Filter: happyrobot.ListCallsQuery{Type: happyrobot.Outbound},
		}
		item, err := api.Get(t.Context(), "a")
		require.NoError(t, err)
		assert.Equal(t, foreign, item.Foreign, "%q", direction)
	}
}
