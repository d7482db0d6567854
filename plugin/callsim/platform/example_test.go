package platform_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// trigger starts one run by hand; a client or a pipeline would do it.
func trigger(api *platform.Server, ref string) {
	body := fmt.Sprintf(`{"payload":{"phone_number":"+12025550101","dial_ref":%q}}`, ref)
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, api.URL+"/workflows/"+platform.DefaultWorkflow+"/runs", strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Authorization", "Bearer any-key")
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println("no answer")
		return
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	fmt.Println(res.Status)
}

func mustListen(opts platform.Options) *platform.Server {
	api, err := platform.Listen("127.0.0.1:0", opts)
	if err != nil {
		panic(err)
	}
	return api
}

// The simulator counts runs itself, whatever it answered.
func ExampleListen() {
	api := mustListen(platform.Options{})
	defer api.Close()

	trigger(api, "ref-1")
	api.Sim.LoseAnswer("ref-2")
	trigger(api, "ref-2")
	rule := api.Sim.Inject(platform.Fault{Kind: platform.ErrorAfter, Times: 1})
	trigger(api, "ref-3")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := api.Sim.AwaitStruck(ctx, rule, 1); err != nil {
		panic(err)
	}

	fmt.Println(api.Sim.RunsBy("dial_ref"))
	// Output:
	// 200 OK
	// no answer
	// 502 Bad Gateway
	// map[ref-1:1 ref-2:1 ref-3:1]
}

// Runs go as decided, and simulated time leaps.
func ExampleSim_Decide() {
	api := mustListen(platform.Options{Speed: 0.001}) // it all but stands
	defer api.Close()

	api.Sim.Decide("+12025550101", platform.Fate{Sessions: []string{"missed", "voicemail"}})
	trigger(api, "ref-1")
	for _, leap := range []time.Duration{0, 10 * time.Second, time.Minute, time.Hour} {
		api.Sim.Advance(leap)
		run := api.Sim.Runs()[0]
		fmt.Println(run.Status, run.Sessions)
	}
	// Output:
	// 200 OK
	// scheduled []
	// running [in-progress]
	// running [missed in-progress]
	// completed [missed voicemail]
}
