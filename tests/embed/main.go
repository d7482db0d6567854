// Command embed is plain Benthos with the plugin, as somebody else would build it: a
// module of its own, which asks for Benthos and for this one.
package main

import (
	"context"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
)

func main() { service.RunCLI(context.Background()) }
