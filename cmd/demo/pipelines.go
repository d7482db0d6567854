package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	_ "github.com/redpanda-data/benthos/v4/public/components/io"
	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin"
	_ "github.com/benthos-happyrobot/benthos-happyrobot/plugin/connectors/kafka"
)

const resourcesFile = "resources/local.yaml"

// pipelines are running streams.
type pipelines struct {
	streams []*service.Stream
	failed  chan error // an end that was not asked for
	ended   chan struct{}
}

// start runs config files as they are, with settings in place of the environment.
func start(ctx context.Context, settings map[string]string, files ...string) (*pipelines, error) {
	p := &pipelines{failed: make(chan error, len(files)), ended: make(chan struct{}, len(files))}
	for _, file := range files {
		stream, err := build(settings, file)
		if err != nil {
			return nil, errors.Join(err, p.stop())
		}
		p.streams = append(p.streams, stream)
		go func() {
			defer func() { p.ended <- struct{}{} }()
			if err := stream.Run(ctx); err != nil && ctx.Err() == nil {
				p.failed <- fmt.Errorf("%s: %w", file, err)
			}
		}()
	}
	return p, nil
}

func build(settings map[string]string, file string) (*service.Stream, error) {
	b := service.NewStreamBuilder()
	b.SetEnvVarLookupFunc(func(name string) (string, bool) {
		value, ok := settings[name]
		return value, ok
	})
	b.SetLogger(slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: brief})).With("pipeline", file))
	config, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("run the demo from the repository's root: %w", err)
	}
	if err := b.SetYAML(string(config)); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	resources, err := os.ReadFile(resourcesFile)
	if err != nil {
		return nil, fmt.Errorf("run the demo from the repository's root: %w", err)
	}
	if err := b.AddResourcesYAML(string(resources)); err != nil {
		return nil, fmt.Errorf("%s: %w", resourcesFile, err)
	}
	stream, err := b.Build()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return stream, nil
}

// brief leaves out of log lines what only says where in a config they come from.
func brief(_ []string, a slog.Attr) slog.Attr {
	if a.Key == "path" || a.Key == "label" || a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// stop ends all streams and waits for them.
func (p *pipelines) stop() error {
	var errs []error
	for _, s := range p.streams {
		errs = append(errs, s.StopWithin(20*time.Second))
	}
	for range p.streams {
		<-p.ended
	}
	return errors.Join(errs...)
}
