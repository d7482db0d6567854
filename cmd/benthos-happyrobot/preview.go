package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/Jeffail/gabs/v2"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/urfave/cli/v2"
)

// defaultConfigs are where Benthos looks for a config when it is given none.
var defaultConfigs = []string{"/benthos.yaml", "/etc/benthos/config.yaml", "/etc/benthos.yaml"}

// preview reads those parts of a run's config that decide what its HTTP server shows,
// with the values of --set, before Benthos reads it.
func preview(c *cli.Context, schema *service.ConfigSchema) (*service.ParsedConfig, error) {
	text, err := mainConfig(c)
	if err != nil {
		return nil, err
	}
	file, err := schema.NewConfigQuerier().ParseYAML(text)
	if err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	root := gabs.New()
	for _, section := range []string{"http", "metrics"} {
		part, err := file.FieldAtPath(section)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", section, err)
		}
		value, err := plainField(part)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", section, err)
		}
		if _, err := root.Set(value, section); err != nil {
			return nil, fmt.Errorf("%s: %w", section, err)
		}
	}
	for _, set := range sets(c) {
		path, text, _ := strings.Cut(set, "=")
		if section, _, _ := strings.Cut(path, "."); section != "http" && section != "metrics" {
			continue
		}
		value, err := parseYAML(text)
		if err != nil {
			return nil, errors.New("--set: the value is not YAML")
		}
		if _, err := root.SetP(value, path); err != nil {
			return nil, fmt.Errorf("--set: %w", err)
		}
	}
	spec := service.NewConfigSpec().Fields(
		service.NewObjectField("http",
			service.NewBoolField("enabled").Default(true),
			service.NewStringField("address").Default(defaultAddress),
			service.NewBoolField("debug_endpoints").Default(false),
			service.NewObjectField("basic_auth",
				service.NewBoolField("enabled").Default(false),
				service.NewStringField("password_hash").Default(""),
				service.NewStringField("algorithm").Default("sha256"),
				service.NewStringField("salt").Default(""),
			),
		),
		service.NewAnyField("metrics"),
	)
	merged, err := json.Marshal(root)
	if err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	return spec.ParseYAML(string(merged), nil)
}

// sets are the values of --set that Benthos applies.
func sets(c *cli.Context) []string { return lastFlag(c, "set") }

// resourceFiles are the patterns of -r.
func resourceFiles(c *cli.Context) []string { return lastFlag(c, "resources") }

// lastFlag is the value of a flag that Benthos uses: the command's, or else that before
// its name.
func lastFlag(c *cli.Context, name string) (values []string) {
	for _, at := range c.Lineage() {
		if values = at.StringSlice(name); len(values) > 0 {
			break
		}
	}
	return values
}

func parseYAML(text string) (any, error) {
	spec := service.NewConfigSpec().Field(service.NewAnyField("value"))
	parsed, err := spec.ParseYAML("value:\n  "+strings.ReplaceAll(text, "\n", "\n  "), nil)
	if err != nil {
		return nil, err
	}
	return parsed.FieldAny("value")
}

// mainConfig is the text of the file that a command takes as its main config.
func mainConfig(c *cli.Context) (string, error) {
	var path string
	switch c.Command.Name {
	case "streams":
		path = c.String("observability")
	case "run":
		path = c.Args().First()
	}
	if path == "" {
		path = c.String("config") // a flag of the program, before the command's name
	}
	for _, usual := range defaultConfigs {
		if _, err := os.Stat(usual); path == "" && err == nil {
			path = usual
		}
	}
	if path == "" {
		return "{}", nil
	}
	text, err := os.ReadFile(path)
	return string(text), err
}
