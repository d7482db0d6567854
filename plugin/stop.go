package plugin

import "github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"

// Stopping says that this process is about to stop. Outputs that wait, with no request under
// way, then give their messages back within a second, where Benthos would let them wait for
// three quarters of `shutdown_timeout`. A program calls it when it is told to stop, as
// benthos-happyrobot does at SIGTERM; without it, a stop is as safe, and takes longer.
func Stopping() { pause.Process.Begin() }
