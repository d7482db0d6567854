package plugin_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func TestACallThatIsAnsweredWithAWebPageIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []callsim.Kind{callsim.WrongType, callsim.CutBody, callsim.NotJSON} {
		srv := startSim(t, callsim.Options{})
		id := ended(t, srv.Sim, callsim.Arrival{EndsAs: "Completed"})
		srv.Sim.Inject(callsim.Fault{Kind: kind, Operation: "getCall", Times: 12})
		s := run(t, parts{processors: []string{callYAML(srv.URL)}})
		require.NoError(t, s.deliver(ask(id)))
		assert.Equal(t, "complete", s.out.all()[0]["@happyrobot_outcome"], kind)
		assert.Equal(t, 1, strings.Count(s.logs.String(), "API request failed; retrying"), kind)
	}
}

func TestABaseURLWithoutItsPathPausesTheStream(t *testing.T) {
	t.Parallel()
	srv := startSim(t, callsim.Options{})
	id := ended(t, srv.Sim, callsim.Arrival{EndsAs: "Completed"})
	s := run(t, parts{processors: []string{callYAML(strings.TrimSuffix(srv.URL, "/api/v1"))}})
	done := make(chan error, 1)
	go func() { done <- s.deliver(ask(id)) }()
	awaitLog(t, s, "neither this nor the list of calls is at base_url")
	select {
	case <-done:
		t.Error("the message must wait")
	case <-time.After(100 * time.Millisecond):
	}
	assert.Empty(t, s.out.all())
}
