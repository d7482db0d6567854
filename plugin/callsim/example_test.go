package callsim_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// dial places one call by hand; a client or a pipeline would do it.
func dial(api *callsim.Server, lead string) {
	call := fmt.Sprintf(`[{"number_id":"64f0c0de00000000000000c1","phone_number":"+12025550101","metadata":{"lead_id":%q}}]`, lead)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, api.URL+"/dial/outbound-batched", strings.NewReader(call))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer any-key")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println("no answer")
		return
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	fmt.Println(res.Status)
}

func mustListen(opts callsim.Options) *callsim.Server {
	api, err := callsim.Listen("127.0.0.1:0", opts)
	if err != nil {
		panic(err)
	}
	return api
}

// The simulator counts calls itself, whatever it answered.
func ExampleListen() {
	api := mustListen(callsim.Options{})
	defer api.Close()

	dial(api, "lead-1")
	api.Sim.LoseAnswer("+12025550101")
	dial(api, "lead-2")

	fmt.Println(api.Sim.CallsBy("metadata.lead_id"))
	// Output:
	// 200 OK
	// no answer
	// map[lead-1:1 lead-2:1]
}

// A fault strikes the requests it is meant for, and a test waits until it has.
func ExampleSim_Inject() {
	api := mustListen(callsim.Options{})
	defer api.Close()

	rule := api.Sim.Inject(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusTooManyRequests, RetryAfter: "2", Times: 1})
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		dial(api, "lead-1")
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := api.Sim.AwaitStruck(ctx, rule, 1); err != nil {
		panic(err)
	}
	<-answered
	fmt.Println(api.Sim.Faults()[0].Injected, "struck,", len(api.Sim.Calls()), "calls")
	// Output:
	// 429 Too Many Requests
	// 1 struck, 0 calls
}

// Simulated time runs faster than the wall's, and leaps.
func ExampleSim_Advance() {
	sim := callsim.New(callsim.Options{Speed: 0.001}) // it all but stands
	defer sim.Close()

	if _, err := sim.Arrive(callsim.Arrival{Talk: callsim.Duration(time.Minute)}); err != nil {
		panic(err)
	}
	for _, leap := range []time.Duration{0, 5 * time.Second, 15 * time.Second, time.Minute} {
		sim.Advance(leap)
		fmt.Println(sim.Calls()[0].Status)
	}
	// Output:
	// Queued
	// Ringing
	// In progress
	// Completed
}
