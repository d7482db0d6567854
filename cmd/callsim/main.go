// Command callsim runs the pretend HappyRobot API as a program of its own.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "callsim:", err)
		os.Exit(1)
	}
}

func run() error {
	var opts callsim.Options
	var faults []callsim.Fault
	address := flag.String("address", "127.0.0.1:8600", "where to listen")
	flag.StringVar(&opts.APIKey, "api-key", "", "the only key to accept; empty accepts any")
	flag.Uint64Var(&opts.Seed, "seed", 0, "repeats a run; 0 draws one")
	flag.Float64Var(&opts.Speed, "speed", 0, "how much faster than the wall calls live (default 60)")
	flag.BoolVar(&opts.KeepOrder, "keep-order", false, "answer in the order of the request")
	flag.IntVar(&opts.MaxBatch, "max-batch", 0, "calls a request may hold (default 100, negative for no limit)")
	flag.DurationVar(&opts.Visibility, "visibility", 0, "until a new call is listed")
	flag.DurationVar(&opts.TranscriptDelay, "transcript-delay", 0, "simulated time from a call's end to its transcript (default 20s)")
	flag.DurationVar(&opts.Latency, "latency", 0, "of every answer")
	flag.DurationVar(&opts.CreatedResolution, "created-resolution", 0, "cut the times of creation to it, such as 1s")
	flag.StringVar(&opts.Webhooks.CallURL, "hook-url", "", "who gets the hook of a use case when a call starts and ends")
	flag.StringVar(&opts.Webhooks.SessionURL, "session-url", "", "who gets the event session.status_changed")
	flag.StringVar(&opts.Webhooks.Header, "webhook-header", "", "of the webhooks' secret (default "+callsim.HookHeader+")")
	flag.StringVar(&opts.Webhooks.Secret, "webhook-secret", "", "sent with every webhook; empty sends none")
	flag.IntVar(&opts.Webhooks.Attempts, "webhook-attempts", 0, "until a webhook that is not answered 2xx is given up (default 5)")
	flag.Float64Var(&opts.Webhooks.Twice, "webhook-twice", 0, "probability that a webhook is sent again although it was taken")
	flag.Float64Var(&opts.Webhooks.Talks, "hook-talk", 0, "probability that the hook of a talk's end carries the talk")
	flag.Func("fault", `a fault as JSON, such as {"kind":"lose_answer","probability":0.1}; may be repeated`, func(s string) error {
		var f callsim.Fault
		if err := json.Unmarshal([]byte(s), &f); err != nil {
			return err
		}
		faults = append(faults, f)
		return f.Validate()
	})
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	srv, err := callsim.Listen(*address, opts)
	if err != nil {
		return err
	}
	for _, f := range faults {
		srv.Sim.Inject(f)
	}
	fmt.Printf("callsim listens at %s, seed %d\n", srv.URL, srv.Sim.Seed())
	<-ctx.Done()
	return srv.Close()
}
