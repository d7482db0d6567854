package callsim_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func TestAwaitReturnsWithTheEventAndNotBefore(t *testing.T) {
	srv := listen(t, callsim.Options{})
	rule := srv.Sim.Inject(callsim.Fault{Kind: callsim.ErrorAfter, Times: 2})
	for name, await := range map[string]func(context.Context) error{
		"struck":   func(ctx context.Context) error { return srv.Sim.AwaitStruck(ctx, rule, 2) },
		"requests": func(ctx context.Context) error { return srv.Sim.AwaitRequests(ctx, "createOutboundCallsBatched", 2) },
		"calls":    func(ctx context.Context) error { return srv.Sim.AwaitCalls(ctx, 6) },
	} {
		over, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, await(over), context.Canceled, name)
		came := make(chan error, 1)
		t.Cleanup(func() { assert.NoError(t, <-came, name) })
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			came <- await(ctx)
		}()
	}
	for range 2 {
		ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(3))
	}
}

func TestWhatCannotComeIsNotAwaited(t *testing.T) {
	srv := listen(t, callsim.Options{})
	rule := srv.Sim.Inject(callsim.Fault{Kind: callsim.LoseAnswer, Times: 1})
	require.ErrorContains(t, srv.Sim.AwaitStruck(t.Context(), rule, 2), "1 times at most")
	require.ErrorContains(t, srv.Sim.AwaitStruck(t.Context(), rule+1, 1), "no rule 2")
	require.ErrorContains(t, srv.Sim.AwaitRequests(t.Context(), "dialEverybody", 1), "unknown operation")

	ended := make(chan error, 2)
	go func() { ended <- srv.Sim.AwaitStruck(t.Context(), rule, 1) }()
	srv.Sim.ClearFaults()
	require.ErrorContains(t, <-ended, "no rule 1")
	assert.Equal(t, rule+1, srv.Sim.Inject(callsim.Fault{Kind: callsim.LoseAnswer}), "a new rule is another one")

	go func() { ended <- srv.Sim.AwaitCalls(t.Context(), 1) }()
	srv.Sim.Close()
	assert.ErrorContains(t, <-ended, "0 of 1 calls: the Sim was closed")
}

func TestAnotherProcessAwaitsOverTheControlPaths(t *testing.T) {
	srv := listen(t, callsim.Options{})
	await := srv.URL[:len(srv.URL)-len("/api/v1")] + "/_sim/await"
	rule := srv.Sim.Inject(callsim.Fault{Kind: callsim.LoseAnswer, Times: 1})
	require.Equal(t, 1, rule)
	for body, want := range map[string]int{
		`{"fault":1,"times":1,"within":"1ms"}`:              http.StatusGatewayTimeout,
		`{"calls":true,"times":1,"within":"1ms"}`:           http.StatusGatewayTimeout,
		`{"operation":"getUsage","times":1,"within":"1ms"}`: http.StatusGatewayTimeout,
		`{"fault":1}`:                        http.StatusBadRequest,
		`{"fault":7,"times":1}`:              http.StatusBadRequest,
		`{"fault":1,"calls":true,"times":1}`: http.StatusBadRequest,
		`{"times":1}`:                        http.StatusBadRequest,
	} {
		status, _, reply := ask(t, http.MethodPost, await, body)
		assert.Equal(t, want, status, "%s: %s", body, reply)
	}
	struck := make(chan int, 1)
	go func() {
		status, _, _ := ask(t, http.MethodPost, await, `{"fault":1,"times":1}`)
		struck <- status
	}()
	ask(t, http.MethodPost, srv.URL+"/dial/outbound-batched", batch(1))
	assert.Equal(t, http.StatusOK, <-struck)
	status, _, _ := ask(t, http.MethodPost, await, `{"calls":true,"times":1}`)
	assert.Equal(t, http.StatusOK, status)
}
