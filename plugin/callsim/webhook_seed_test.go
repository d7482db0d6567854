package callsim

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A seed gives the run that it gave before hooks could carry the talk.
func TestNothingIsDrawnWithoutTalks(t *testing.T) {
	drawn := func() *rand.Rand { return rand.New(rand.NewPCG(7, 1)) }
	silent := teller{rng: drawn()}
	assert.Empty(t, silent.talkOf(&call{}, life{connected: true}))
	assert.Equal(t, drawn().Uint64(), silent.rng.Uint64())

	talking := teller{rng: drawn(), opts: Webhooks{Talks: 1}}
	assert.NotEmpty(t, talking.talkOf(&call{}, life{connected: true}))
	assert.NotEqual(t, drawn().Uint64(), talking.rng.Uint64())
}
