package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin"
)

const (
	// handover is longer than Benthos takes from the start of its streams until it
	// listens for signals itself. That is some microseconds where the machine has time.
	handover = 2 * time.Second

	handoverInterval = 500 * time.Millisecond
)

// stopper has outputs that wait give their messages back when the process is told to stop,
// after shutdown_delay: until then Benthos goes on as before.
type stopper struct{ delay time.Duration }

func (s *stopper) read(conf *service.ParsedConfig) error {
	var err error
	if s.delay, err = conf.FieldDuration("shutdown_delay"); err != nil && conf.Contains("shutdown_delay") {
		if text, _ := conf.FieldString("shutdown_delay"); text != "" {
			return fmt.Errorf("shutdown_delay: %w", err)
		}
	}
	return nil
}

// listen begins when the streams have started, right before Benthos listens. A signal
// before that ends the process at once, as it does by default: whoever listens takes that
// away, and Benthos would never learn of the signal.
func (s *stopper) listen(*service.RunningStreamSummary) error {
	told, began := make(chan os.Signal, 1), time.Now()
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	go func() { // until the process ends
		first := <-told
		if time.Since(began) < handover {
			go repeat(first)
		}
		select {
		case <-told: // which ends the delay for Benthos, too
		case <-time.After(s.delay):
		}
		plugin.Stopping()
	}()
	return nil
}

// repeat sends a signal again until the process ends, since Benthos may not have listened
// yet. One that it has heard already does no more than end shutdown_delay. Windows cannot
// do it: there, the signal must be sent again.
func repeat(told os.Signal) {
	self, err := os.FindProcess(os.Getpid())
	for err == nil {
		time.Sleep(handoverInterval)
		err = self.Signal(told)
	}
}
