// Command callsim runs the pretend HappyRobot API as a program of its own: v1 below
// /api/v1, and the platform below /api/v2 and /hooks. Each has calls or runs, faults and
// ground truth of its own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
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
	flag.DurationVar(&opts.Visibility, "visibility", 0, "until a new call or run is listed (default of runs 20ms, negative for none)")
	flag.DurationVar(&opts.TranscriptDelay, "transcript-delay", 0, "simulated time from a call's end to its transcript (default 20s)")
	flag.DurationVar(&opts.Latency, "latency", 0, "of every answer")
	flag.DurationVar(&opts.CreatedResolution, "created-resolution", 0, "cut the times of creation to it, such as 1s")
	flag.StringVar(&opts.Webhooks.CallURL, "hook-url", "", "who gets the hook of a use case when a call starts and ends")
	flag.StringVar(&opts.Webhooks.SessionURL, "session-url", "", "who gets the event session.status_changed of calls")
	flag.StringVar(&opts.Webhooks.Header, "webhook-header", "", "of the webhooks' secret (default "+callsim.HookHeader+", of the platform "+platform.WebhookHeader+")")
	flag.StringVar(&opts.Webhooks.Secret, "webhook-secret", "", "sent with every webhook; empty sends none")
	flag.IntVar(&opts.Webhooks.Attempts, "webhook-attempts", 0, "until a webhook that is not answered 2xx is given up (default 5, of the platform 1)")
	flag.Float64Var(&opts.Webhooks.Twice, "webhook-twice", 0, "probability that a webhook is sent again although it was taken")
	flag.Float64Var(&opts.Webhooks.Talks, "hook-talk", 0, "probability that the hook of a talk's end carries the talk")
	eachJSON("fault", `a fault as JSON, such as {"kind":"lose_answer","probability":0.1}; may be repeated`, func(f callsim.Fault) error {
		faults = append(faults, f)
		return f.Validate()
	})
	var p platformFlags
	p.register()
	flag.Parse()
	today, err := p.options(opts)
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	v1, v2 := callsim.New(opts), platform.New(today)
	defer v1.Close()
	defer v2.Close()
	for _, f := range faults {
		v1.Inject(f)
	}
	if err := p.prepare(v2); err != nil {
		return errors.Join(err, l.Close())
	}
	srv := &http.Server{Handler: both(v1, v2)} //nolint:gosec // a test bed: slow clients are its own
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	base := "http://" + l.Addr().String()
	fmt.Printf("callsim listens at %s/api/v1, seed %d\n", base, v1.Seed())
	fmt.Printf("platform at %s/api/v2, hooks at %s/hooks, seed %d\n", base, base, v2.Seed())
	select {
	case <-ctx.Done():
		err = srv.Close()
		<-ended
		return err
	case err := <-ended:
		return errors.Join(err, srv.Close())
	}
}

// both serves the two generations by their paths.
func both(v1, v2 http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, path := range platform.Paths {
		mux.Handle(path, v2)
	}
	mux.Handle("/", v1)
	return mux
}

// eachJSON is a flag that may be repeated, each time with an object.
func eachJSON[T any](name, usage string, take func(T) error) {
	flag.Func(name, usage, func(s string) error {
		var v T
		if err := json.Unmarshal([]byte(s), &v); err != nil {
			return err
		}
		return take(v)
	})
}
