package faults

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
)

// stream is a pipeline under test, with a producer in front and what came out.
type stream struct {
	send service.MessageBatchHandlerFunc
	stop func() error
	out  *collected
}

// collected is what reached the `collect` outputs.
type collected struct {
	mu       sync.Mutex
	failures map[string][]string // by lead: why
	receipts map[string][]string // by lead: ids of its call
}

func (c *collected) failureOf(lead string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failures[lead]
}

func (c *collected) failed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.failures)
}

// collector is one such output.
type collector struct {
	as  string
	out *collected
}

func (c collector) Connect(context.Context) error { return nil }
func (c collector) Close(context.Context) error   { return nil }

func (c collector) Write(_ context.Context, msg *service.Message) error {
	b, err := msg.AsBytes()
	if err != nil {
		return err
	}
	var m struct {
		ID      string `json:"id"` // of a lead that a fallback hands on
		CallID  string `json:"call_id"`
		RunID   string `json:"run_id"`
		Outcome string `json:"outcome"`
		Reason  string `json:"reason"`
		Details string `json:"details"`
		Lead    struct {
			ID string `json:"id"`
		} `json:"lead"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("reading what came out as %s: %w", c.as, err)
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.as == "receipt" {
		c.out.receipts[m.Lead.ID] = append(c.out.receipts[m.Lead.ID], cmp.Or(m.CallID, m.RunID))
		return nil
	}
	if why, fellBack := msg.MetaGet("fallback_error"); fellBack {
		c.out.failures[m.ID] = append(c.out.failures[m.ID], why)
		return nil
	}
	why := ""
	if m.Outcome != "" && m.Reason != "" {
		why = fmt.Sprintf("%s: %s: %s", m.Outcome, m.Reason, m.Details)
	}
	c.out.failures[m.Lead.ID] = append(c.out.failures[m.Lead.ID], why)
	return nil
}

// start runs a config.
func start(c config, register ...func(*service.Environment) error) (*stream, error) {
	s := &stream{out: &collected{failures: map[string][]string{}, receipts: map[string][]string{}}}
	env := service.NewEnvironment()
	register = append(register, func(env *service.Environment) error {
		return env.RegisterOutput("collect", service.NewConfigSpec().Field(service.NewStringField("as")),
			func(conf *service.ParsedConfig, _ *service.Resources) (service.Output, int, error) {
				as, err := conf.FieldString("as")
				return collector{as: as, out: s.out}, 1, err
			})
	})
	for _, r := range register {
		if err := r(env); err != nil {
			return nil, err
		}
	}
	b := env.NewStreamBuilder()
	if c.log == nil {
		c.log = io.Discard
	}
	b.SetLogger(slog.New(slog.NewTextHandler(c.log, nil)))
	b.SetThreads(maxInFlight)
	add := func(parts []string, to func(string) error) (err error) {
		for _, part := range parts {
			err = errors.Join(err, to(strings.TrimSpace(part)))
		}
		return err
	}
	if c.metrics == "" {
		c.metrics = "none: {}"
	}
	err := errors.Join(b.SetMetricsYAML(c.metrics), add(c.caches, b.AddCacheYAML), add(c.limits, b.AddRateLimitYAML), add(c.processors, b.AddProcessorYAML), b.AddOutputYAML(c.output))
	if err != nil {
		return nil, err
	}
	if s.send, err = b.AddBatchProducerFunc(); err != nil {
		return nil, err
	}
	built, err := b.Build()
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- built.Run(context.Background()) }()
	s.stop = func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := built.Stop(ctx); err != nil {
			return err // and it may never end
		}
		return <-ended
	}
	return s, nil
}

// deliver sends leads as one batch, and returns when the stream acknowledges it.
func (s *stream) deliver(ctx context.Context, leads []string) error {
	batch := make(service.MessageBatch, len(leads))
	for i, id := range leads {
		batch[i] = service.NewMessage(fmt.Appendf(nil, `{"id":%q,"phone":%q}`, id, phoneOf(id)))
	}
	return s.send(ctx, batch)
}

// phoneOf gives the lead "lead-7" the number +12025550007... with seven digits of
// its own: numbers of different leads differ.
func phoneOf(lead string) string {
	n := 0
	_, _ = fmt.Sscanf(lead, "lead-%d", &n)
	return fmt.Sprintf("+1415%07d", 2_000_000+n)
}

func makeLeads(n int) []string {
	leads := make([]string, n)
	for i := range leads {
		leads[i] = fmt.Sprintf("lead-%d", i)
	}
	return leads
}
