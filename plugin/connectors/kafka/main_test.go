package kafka

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// TestMain runs more tests side by side than there are processors, unless a flag says how
// many: they wait for pretend clusters most of the time. A real one is restarted by tests,
// which is trouble enough for its neighbours.
func TestMain(m *testing.M) {
	flag.Parse()
	realBroker := os.Getenv("TEST_KAFKA_BROKERS") != ""
	if parallel := flag.Lookup("test.parallel"); !realBroker && parallel.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = parallel.Value.Set("8")
	}
	os.Exit(m.Run())
}
