package callsim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A machine's clock can be set back between two calls.
func TestCreatedDoesNotGoBackWithTheMachinesClock(t *testing.T) {
	s := New(Options{})
	ahead := time.Now().Add(time.Hour).Round(0)
	s.rig.Created(ahead)
	ids, err := s.Arrive(Arrival{})
	require.NoError(t, err)
	assert.True(t, s.byID[ids[0]].created.Equal(ahead))
}
