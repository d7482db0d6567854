package bench

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim/platform"
)

// payloadMapping makes the payload of a lead, on every side.
const payloadMapping = `
root.phone_number = this.phone
root.customer_name = this.name
root.slot = this.slot
root.lead_id = this.id
`

// BenchmarkWorkflow starts the same runs with the stock http_client output, which posts them
// one by one and promises nothing, and with happyrobot_workflow, which starts each once.
func BenchmarkWorkflow(b *testing.B) {
	n := min(leadCount(b), 20_000)
	sides := []*side{
		{name: "http_client", configure: configureTriggers},
		{name: "happyrobot_workflow, memory", configure: func(b *testing.B, s *service.StreamBuilder, url string) error {
			return s.AddOutputYAML(workflowYAML(url, `""`))
		}},
		{name: "happyrobot_workflow, bbolt", configure: func(b *testing.B, s *service.StreamBuilder, url string) error {
			if err := s.AddCacheYAML(fmt.Sprintf("label: ledger\nbbolt: {path: %q}", filepath.Join(b.TempDir(), "ledger.db"))); err != nil {
				return err
			}
			return s.AddOutputYAML(workflowYAML(url, "ledger"))
		}},
	}
	leads, warmUp := makeLeads("lead", n), makeLeads("warm-up", warmUpLeads)
	rounds := 0
	for b.Loop() {
		for _, s := range sides {
			s.used = s.used.plus(s.trigger(b, leads, warmUp))
		}
		rounds++
	}
	total := n * rounds
	cpu := func(s *side) float64 { return float64(s.used.cpu.Microseconds()) / float64(total) }
	stock, memory, file := cpu(sides[0]), cpu(sides[1]), cpu(sides[2])
	b.ReportMetric(stock, "http_client-us/lead")
	b.ReportMetric(memory, "memory-us/lead")
	b.ReportMetric(file, "bbolt-us/lead")
	b.ReportMetric(memory/stock, "memory/http_client")
	b.ReportMetric(file/stock, "bbolt/http_client")
	kept := func(ratio float64) string {
		if ratio <= 1.25 {
			return "kept"
		}
		return "MISSED"
	}
	b.Log("\n" + dialTable(sides, n, total) + fmt.Sprintf("processor time per lead, happyrobot_workflow / http_client: memory %.2f (goal at most 1.25: %s), bbolt %.2f (%s)",
		memory/stock, kept(memory/stock), file/stock, kept(file/stock)))
}

// trigger measures one side and holds it to the truth: one run for each lead.
func (s *side) trigger(b *testing.B, leads, warmUp [][][]byte) usage {
	b.Helper()
	srv, err := platform.Listen("127.0.0.1:0", platform.Options{Concurrent: -1})
	require.NoError(b, err)
	defer srv.Close()
	pipeline := start(b, func(builder *service.StreamBuilder) error { return s.configure(b, builder, srv.URL) })
	pipeline.feed(b, producers, warmUp)
	used := measure(func() { pipeline.feed(b, producers, leads) })
	pipeline.stop()
	runs, want := srv.Sim.RunsBy("lead_id"), 0
	for _, batch := range append(leads[:len(leads):len(leads)], warmUp...) {
		want += len(batch)
	}
	require.Len(b, runs, want, "%s: leads that were started", s.name)
	for lead, times := range runs {
		require.Equal(b, 1, times, "%s: runs of %s", s.name, lead)
	}
	return used
}

func configureTriggers(_ *testing.B, s *service.StreamBuilder, url string) error {
	return s.AddOutputYAML(fmt.Sprintf(`
processors:
  - mapping: %q
http_client:
  url: %s/workflows/%s/runs
  verb: POST
  headers: {Authorization: Bearer bench-key, Content-Type: application/json}
  timeout: 30s
  max_in_flight: %d
`, "root.payload = this.apply(\"payload\")\nroot.environment = \"production\"\nmap payload {"+payloadMapping+"}", url, platform.DefaultWorkflow, maxInFlight))
}

func workflowYAML(url, ledger string) string {
	return fmt.Sprintf(`
happyrobot_workflow:
  api_key: bench-key
  base_url: %s
  workflow: %s
  timeout: 30s
  ledger: %s
  dedupe_key: ${! json("id") }
  phone_field: phone_number
  payload_mapping: %q
  max_in_flight: %d
  batching: {count: %d, period: 100ms}
`, url, platform.DefaultWorkflow, ledger, payloadMapping, maxInFlight, batchSize)
}
