package plugin

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/callsim"
)

// Behind a filter Benthos takes an error for one message of a batch for that of another.
// So a message that is undecided at a stop, or a receipt that is not written, fails the
// whole batch, with `failures` and without. A stream that stops does not show which error
// it was, so the output is asked itself.
func TestWhatIsUndecidedAtAStopFailsTheWholeBatch(t *testing.T) {
	t.Parallel()
	const never = "receipts: { reject: not now }"
	for name, tc := range map[string]struct{ phone, children string }{
		"undecided":                    {"+12025550103", ""},
		"undecided, with failures":     {"+12025550103", "failures: { drop: {} }"},
		"no receipts":                  {"+12025550102", never},
		"no receipts, with failures":   {"+12025550102", never + "\nfailures: { drop: {} }"},
		"undecided, and a failed lead": {"+12025550103", "receipts: { drop: {} }"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, err := callsim.Listen("127.0.0.1:0", callsim.Options{})
			require.NoError(t, err)
			defer srv.Close()
			refusal := srv.Sim.Inject(callsim.Fault{Kind: callsim.Refuse, Status: http.StatusUnauthorized, To: "+12025550103"})
			conf, err := outputDialSpec().ParseYAML("api_key: k\nbase_url: "+srv.URL+"\nnumber_id: 64f0c0de00000000000000c1\nmax_calls_per_request: 1\nretry: { initial_interval: 5ms, max_interval: 20ms }\n"+tc.children, service.NewEnvironment())
			require.NoError(t, err)
			out, _, _, err := newDialOutputFromParsed(conf, service.MockResources())
			require.NoError(t, err)
			require.NoError(t, out.Connect(t.Context()))
			batch := service.MessageBatch{service.NewMessage([]byte(`{"phone_number":"+12025550101"}`)), service.NewMessage([]byte(`{"phone_number":"` + tc.phone + `"}`))}
			if strings.HasSuffix(name, "failed lead") {
				batch = append(batch, service.NewMessage([]byte(`{"phone_number":"nobody"}`)))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			written := make(chan error, 1)
			go func() { written <- out.WriteBatch(ctx, batch) }()
			if strings.HasPrefix(name, "no") {
				require.NoError(t, srv.Sim.AwaitCalls(ctx, 2))
			} else {
				require.NoError(t, srv.Sim.AwaitStruck(ctx, refusal, 2), "the lead waits")
			}
			cancel()
			err = <-written
			require.Error(t, err)
			var single *service.BatchError
			assert.NotErrorAs(t, err, &single, "an error for some messages of the batch: %v", err)
			require.NoError(t, out.Close(t.Context()))
		})
	}
}
