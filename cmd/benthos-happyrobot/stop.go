package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin"
)

var watchSignals sync.Once

// stopEarly has outputs that wait give their messages back when the process is told to stop,
// after shutdown_delay: until then Benthos goes on as before.
func stopEarly(conf *service.ParsedConfig) error {
	delay, err := conf.FieldDuration("shutdown_delay")
	if err != nil && conf.Contains("shutdown_delay") {
		if text, _ := conf.FieldString("shutdown_delay"); text != "" {
			return fmt.Errorf("shutdown_delay: %w", err)
		}
	}
	watchSignals.Do(func() {
		told := make(chan os.Signal, 1)
		signal.Notify(told, os.Interrupt, syscall.SIGTERM)
		go func() { // until the process ends
			<-told
			time.Sleep(delay)
			plugin.Stopping()
		}()
	})
	return nil
}
