// Command benthos-happyrobot is Benthos with the HappyRobot components and the
// connectors that a lead-to-call pipeline needs.
package main

import (
	"context"
	"log"
	"os"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure/extended"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/kafka"
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/prometheus"
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/redis"
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/sql"
)

// Set by the linker in releases.
var (
	version   = "dev"
	dateBuilt = "unknown"
)

func main() {
	keepPrivate()
	log.SetOutput(goLog{out: os.Stderr})
	env := environment()
	options := []service.CLIOptFunc{
		service.CLIOptSetVersion(version, dateBuilt),
		service.CLIOptSetBinaryName("benthos-happyrobot"),
		service.CLIOptSetProductName("Benthos HappyRobot"),
		service.CLIOptSetEnvironment(env),
		service.CLIOptSetArgs(arguments(os.Args)...),
	}
	// The commands that wrap one of Benthos' own run it with the options so far.
	options = append(append(options, commands(env, options)...), (&doors{env: env}).options()...)
	service.RunCLI(context.Background(), options...)
}
