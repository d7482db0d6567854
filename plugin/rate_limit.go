package plugin

import (
	"context"
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// rateLimitRetry is how long to wait for a rate limit that cannot be asked.
const rateLimitRetry = time.Second

// rateLimit is a rate limit resource. One that fails is asked again: it must not fail
// messages, and must not let anything through.
type rateLimit struct {
	res   *service.Resources
	label string
	waits *pause.Slow
}

// rateLimitFromParsed finds the rate limit that a field names, nil for an empty field.
func rateLimitFromParsed(conf *service.ParsedConfig, res *service.Resources, field string) (*rateLimit, error) {
	label, err := conf.FieldString(field)
	if err != nil || label == "" {
		return nil, err
	}
	if !res.HasRateLimit(label) {
		return nil, fmt.Errorf("%s: no rate_limit resource is labelled %q", field, label)
	}
	return &rateLimit{res: res, label: label}, nil
}

// reportTo says where long waits are reported, and what keeps the limit from being asked.
func (l *rateLimit) reportTo(notice *pause.Notice) {
	l.waits = pause.NewSlow(notice, fmt.Errorf("rate limit %q has let nothing through for over a minute", l.label))
}

// ask asks for one permit, which is given if there is no wait.
func (l *rateLimit) ask(ctx context.Context) (wait time.Duration, err error) {
	if aerr := l.res.AccessRateLimit(ctx, l.label, func(r service.RateLimit) { wait, err = r.Access(ctx) }); aerr != nil {
		err = aerr
	}
	if err != nil {
		return rateLimitRetry, fmt.Errorf("rate limit %q cannot be asked: %w", l.label, err)
	}
	return wait, nil
}

// wait waits for one permit.
func (l *rateLimit) wait(ctx context.Context) (err error) {
	waiting := l.waits.Begin()
	defer func() { waiting.End(err == nil) }()
	for {
		wait, failed := l.ask(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case failed != nil:
			waiting.Failed(failed)
		case wait <= 0:
			return nil
		}
		if pause.Sleep(ctx, wait) != nil {
			return ctx.Err()
		}
	}
}
