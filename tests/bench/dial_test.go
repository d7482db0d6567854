package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

const (
	batchSize    = 20
	maxInFlight  = 64
	producers    = 2 * maxInFlight // so that a next batch always waits
	warmUpLeads  = 2 * maxInFlight * batchSize
	defaultLeads = 100_000
)

// leadMapping makes the call request of a lead, on every side.
const leadMapping = `
root.number_id = "64f0c0de00000000000000c1"
root.phone_number = this.phone
root.language = "en-US"
root.params.customer_name = this.name
root.params.slot = this.slot
root.metadata.lead_id = this.id
`

// side is one way to place the calls.
type side struct {
	name      string
	configure func(b *testing.B, s *service.StreamBuilder, url string) error
	used      usage
}

// BenchmarkDial places the same calls with the stock http_client output, which
// promises nothing, and with happyrobot_dial, which places each of them once.
func BenchmarkDial(b *testing.B) {
	n := leadCount(b)
	sides := []*side{
		{name: "http_client", configure: configureHTTPClient},
		{name: "happyrobot_dial, memory", configure: configureDial},
		{name: "happyrobot_dial, bbolt", configure: configureDialOnFile},
	}
	leads, warmUp := makeLeads("lead", n), makeLeads("warm-up", warmUpLeads)
	rounds := 0
	for b.Loop() {
		for _, s := range sides {
			s.used = s.used.plus(s.dial(b, leads, warmUp))
		}
		rounds++
	}
	total := n * rounds
	stock, memory, file := sides[0].used.rate(total), sides[1].used.rate(total), sides[2].used.rate(total)
	b.ReportMetric(stock, "http_client-leads/s")
	b.ReportMetric(memory, "memory-leads/s")
	b.ReportMetric(file, "bbolt-leads/s")
	b.ReportMetric(memory/stock, "memory/http_client")
	b.ReportMetric(file/memory, "bbolt/memory")
	b.Log("\n" + dialTable(sides, n, total) +
		verdict("happyrobot_dial / http_client", memory/stock, 0.8) + "\n" +
		verdict("bbolt / memory", file/memory, 0.5))
}

func leadCount(b *testing.B) int {
	text := os.Getenv("BENCH_LEADS")
	if text == "" {
		return defaultLeads
	}
	n, err := strconv.Atoi(text)
	require.NoError(b, err, "BENCH_LEADS")
	require.Positive(b, n, "BENCH_LEADS")
	return n
}

func makeLeads(kind string, n int) [][][]byte {
	leads := make([][]byte, n)
	for i := range leads {
		leads[i] = fmt.Appendf(nil, `{"id":"%s-%06d","name":"Ada Example","phone":"+1415%07d","slot":"10:00","country":"US"}`,
			kind, i, 2000000+i)
	}
	return slices.Collect(slices.Chunk(leads, batchSize))
}

// dial measures one side and holds it to the truth: one call for each lead.
func (s *side) dial(b *testing.B, leads, warmUp [][][]byte) usage {
	b.Helper()
	srv := listen(b, 0)
	defer srv.Close()
	pipeline := start(b, func(builder *service.StreamBuilder) error { return s.configure(b, builder, srv.URL) })
	pipeline.feed(b, producers, warmUp)
	used := measure(func() { pipeline.feed(b, producers, leads) })
	pipeline.stop()
	requireOneCallEach(b, s.name, srv.Sim, leads, warmUp)
	return used
}

func requireOneCallEach(b *testing.B, name string, sim *callsim.Sim, fed ...[][][]byte) {
	b.Helper()
	want := 0
	for _, batches := range fed {
		for _, batch := range batches {
			want += len(batch)
		}
	}
	calls := sim.CallsBy("metadata.lead_id")
	require.Zero(b, calls[""], "%s: calls without a lead", name)
	require.Len(b, calls, want, "%s: leads that were called", name)
	for lead, n := range calls {
		require.Equal(b, 1, n, "%s: calls of %s", name, lead)
	}
}

func configureHTTPClient(_ *testing.B, s *service.StreamBuilder, url string) error {
	return s.AddOutputYAML(fmt.Sprintf(`
http_client:
  url: %s/dial/outbound-batched
  verb: POST
  headers: {Authorization: Bearer bench-key, Content-Type: application/json}
  timeout: 30s
  max_in_flight: %d
  batching:
    count: %d
    period: 100ms
    processors:
      - mapping: %q
      - archive: {format: json_array}
`, url, maxInFlight, batchSize, leadMapping))
}

func configureDial(_ *testing.B, s *service.StreamBuilder, url string) error {
	return s.AddOutputYAML(dialYAML(url, `""`))
}

func configureDialOnFile(b *testing.B, s *service.StreamBuilder, url string) error {
	path := filepath.Join(b.TempDir(), "ledger.db")
	if err := s.AddCacheYAML(fmt.Sprintf("label: ledger\nbbolt: {path: %q}", path)); err != nil {
		return err
	}
	return s.AddOutputYAML(dialYAML(url, "ledger"))
}

func dialYAML(url, ledger string) string {
	return fmt.Sprintf(`
happyrobot_dial:
  api_key: bench-key
  base_url: %s
  timeout: 30s
  ledger: %s
  dedupe_key: ${! json("id") }
  call_mapping: %q
  max_in_flight: %d
  batching: {count: %d, period: 100ms}
`, url, ledger, leadMapping, maxInFlight, batchSize)
}

func dialTable(sides []*side, n, total int) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d leads, %d a request, %d requests in flight\n", n, batchSize, maxInFlight)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "leads/s\tCPU us/lead\tKiB/lead\tallocs/lead\tpeak heap MiB\t  side")
	for _, s := range sides {
		fmt.Fprintf(table, "%.0f\t%.0f\t%.1f\t%.0f\t%.0f\t  %s\n", s.used.rate(total),
			float64(s.used.cpu.Microseconds())/float64(total), float64(s.used.bytes)/float64(total)/1024,
			float64(s.used.mallocs)/float64(total), float64(s.used.peakHeap)/(1<<20), s.name)
	}
	_ = table.Flush()
	return text.String()
}
