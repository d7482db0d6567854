package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/require"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/sql"
	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

// BenchmarkDialOnPostgres places the same calls with what one would write otherwise, the
// stock http_client output behind a dedupe processor, and with happyrobot_dial, whose
// ledger is in the same PostgreSQL.
func BenchmarkDialOnPostgres(b *testing.B) {
	dsn := services.Postgres(b)
	n := leadCount(b)
	sides := []*side{
		{name: "dedupe, http_client", configure: onPostgres(dsn, func(b *testing.B, s *service.StreamBuilder, url string) error {
			s.SetThreads(maxInFlight)
			if err := s.AddProcessorYAML(`dedupe: {cache: ledger, key: '${! json("id") }'}`); err != nil {
				return err
			}
			return configureHTTPClient(b, s, url)
		})},
		{name: "happyrobot_dial", configure: onPostgres(dsn, func(_ *testing.B, s *service.StreamBuilder, url string) error {
			return s.AddOutputYAML(dialYAML(url, "ledger"))
		})},
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
	stock, dial := sides[0].used.rate(total), sides[1].used.rate(total)
	b.ReportMetric(stock, "dedupe-leads/s")
	b.ReportMetric(dial, "happyrobot_dial-leads/s")
	b.ReportMetric(dial/stock, "happyrobot_dial/dedupe")
	b.Log("\n" + dialTable(sides, n, total) + fmt.Sprintf("happyrobot_dial / dedupe, http_client, in one PostgreSQL: %.2f", dial/stock))
}

// onPostgres adds the cache `ledger`, in a table of its own that is dropped in the end.
func onPostgres(dsn string, configure func(*testing.B, *service.StreamBuilder, string) error) func(*testing.B, *service.StreamBuilder, string) error {
	return func(b *testing.B, s *service.StreamBuilder, url string) error {
		table := fmt.Sprintf("bench_%d", time.Now().UnixNano())
		b.Cleanup(func() {
			conn, err := pgx.Connect(context.Background(), dsn)
			require.NoError(b, err)
			_, err = conn.Exec(context.Background(), "DROP TABLE IF EXISTS "+table)
			require.NoError(b, err)
			require.NoError(b, conn.Close(context.Background()))
		})
		if err := s.AddCacheYAML(fmt.Sprintf("label: ledger\npostgres: {dsn: %q, table: %s, default_ttl: 168h}", dsn, table)); err != nil {
			return err
		}
		return configure(b, s, url)
	}
}
