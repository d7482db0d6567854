package main

import (
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
	"go.opentelemetry.io/otel/trace"
)

// absentList has a line for each component that a build with Connect v4.105.0 has and
// this program has not: its kind, its name, and what to use here instead or why it is
// left out, if there is something to say.
//
//go:embed absent.txt
var absentList string

const howToBuild = "https://github.com/benthos-happyrobot/benthos-happyrobot#build-with-connect"

// absent is a component that a config may name and that is not in this program.
type absent struct{ kind, name, hint string }

func (a absent) Error() string {
	text := fmt.Sprintf("%s %s: not in this program; build with Connect, see %s", a.kind, a.name, howToBuild)
	if a.hint != "" {
		text += " (" + a.hint + ")"
	}
	return text
}

// explainAbsent makes configs that name one of these fail with what to do, at the line
// where they name it. Only commands that read configs call it: lists and schemas know
// what there is. A component that exists, also as a template, stays as it is.
func explainAbsent(env *service.Environment) error {
	there := present(env)
	for line := range strings.Lines(absentList) {
		var a absent
		a.kind, line, _ = strings.Cut(strings.TrimSpace(line), " ")
		a.name, a.hint, _ = strings.Cut(line, " ")
		if there[a.kind+" "+a.name] {
			continue
		}
		if err := a.register(env); err != nil {
			return fmt.Errorf("registering %s %s as absent: %w", a.kind, a.name, err)
		}
	}
	return nil
}

// present are the components of an environment, as kind and name.
func present(env *service.Environment) map[string]bool {
	there := map[string]bool{}
	for kind, walk := range map[string]func(func(string, *service.ConfigView)){
		"input": env.WalkInputs, "output": env.WalkOutputs, "processor": env.WalkProcessors, "cache": env.WalkCaches,
		"buffer": env.WalkBuffers, "metrics": env.WalkMetrics, "tracer": env.WalkTracers, "scanner": env.WalkScanners,
	} {
		walk(func(name string, _ *service.ConfigView) { there[kind+" "+name] = true })
	}
	return there
}

func (a absent) register(env *service.Environment) error {
	// Whatever its fields are, they are not what is wrong.
	spec := service.NewConfigSpec().Field(service.NewAnyField("").LintRule("root = " + strconv.Quote(a.Error())))
	switch a.kind {
	case "input":
		return env.RegisterInput(a.name, spec, func(*service.ParsedConfig, *service.Resources) (service.Input, error) { return nil, a })
	case "output":
		return env.RegisterOutput(a.name, spec, func(*service.ParsedConfig, *service.Resources) (service.Output, int, error) { return nil, 0, a })
	case "processor":
		return env.RegisterProcessor(a.name, spec, func(*service.ParsedConfig, *service.Resources) (service.Processor, error) { return nil, a })
	case "cache":
		return env.RegisterCache(a.name, spec, func(*service.ParsedConfig, *service.Resources) (service.Cache, error) { return nil, a })
	case "buffer":
		return env.RegisterBatchBuffer(a.name, spec, func(*service.ParsedConfig, *service.Resources) (service.BatchBuffer, error) { return nil, a })
	case "metrics":
		return env.RegisterMetricsExporter(a.name, spec, func(*service.ParsedConfig, *service.Logger) (service.MetricsExporter, error) { return nil, a })
	case "tracer":
		return env.RegisterOtelTracerProvider(a.name, spec, func(*service.ParsedConfig) (trace.TracerProvider, error) { return nil, a })
	case "scanner":
		return env.RegisterBatchScannerCreator(a.name, spec, func(*service.ParsedConfig, *service.Resources) (service.BatchScannerCreator, error) { return nil, a })
	}
	return errors.New("unknown kind")
}
