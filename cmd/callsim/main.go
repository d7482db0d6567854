// Command callsim runs the pretend HappyRobot API as a program of its own: v1 below
// /api/v1, and the platform below /api/v2 and /hooks. Each has calls or runs, faults and
// ground truth of its own.
package main

import (
	"context"
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
	f := newFlags(flag.CommandLine)
	flag.Parse()
	today, err := f.platform.options(f.v1)
	if err != nil {
		return err
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	v1, v2 := callsim.New(f.v1), platform.New(today)
	defer v1.Close()
	defer v2.Close()
	for _, fault := range f.faults {
		v1.Inject(fault)
	}
	if err := f.platform.prepare(v2); err != nil {
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
