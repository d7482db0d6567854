package plugin_test

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// A program of one's own embeds the plugin by importing it, and runs a pipeline that
// is written in YAML. callsim stands in for the API.
func Example() {
	api, err := callsim.Listen("127.0.0.1:0", callsim.Options{})
	must(err)
	defer api.Close()

	builder := service.NewStreamBuilder()
	builder.SetLogger(slog.New(slog.DiscardHandler))
	builder.SetThreads(1) // messages keep their order
	must(builder.AddInputYAML(`
generate:
  interval: ""
  count: 3
  mapping: |
    let n = counter()
    root.id = "lead-%v".format($n)
    root.phone = if $n < 3 { "+1202555010%v".format($n) } else { "unknown" }
`))
	must(builder.AddProcessorYAML(fmt.Sprintf(`
happyrobot_dial:
  api_key: any-key
  base_url: %s
  dedupe_key: ${! json("id") }
  call_mapping: |
    root.number_id = "64f0c0de00000000000000c1"
    root.phone_number = this.phone
    root.metadata.lead_id = this.id
`, api.URL)))
	must(builder.AddConsumerFunc(func(_ context.Context, lead *service.Message) error {
		value, err := lead.AsStructured()
		if err != nil {
			return err
		}
		outcome, _ := lead.MetaGet("happyrobot_outcome")
		fmt.Println(value.(map[string]any)["id"], outcome)
		return nil
	}))
	stream, err := builder.Build()
	must(err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	must(stream.Run(ctx)) // to the end of its input

	fmt.Println(api.Sim.CallsBy("metadata.lead_id"))
	// Output:
	// lead-1 accepted
	// lead-2 accepted
	// lead-3 rejected
	// map[lead-1:1 lead-2:1]
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
