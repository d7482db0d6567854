package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/urfave/cli/v2"
)

// commands replaces those of Benthos' own that open a port, fetch configs from
// elsewhere, or know the components that are left out.
func commands(env *service.Environment, options []service.CLIOptFunc) []service.CLIOptFunc {
	return []service.CLIOptFunc{
		service.CLIOptAddCommand(bloblCommand(options)),
		service.CLIOptAddCommand(&cli.Command{
			Name:            "studio",
			Hidden:          true,
			SkipFlagParsing: true,
			Action: func(*cli.Context) error {
				return errors.New("studio: not part of this distribution, since it runs configs that it fetches from elsewhere")
			},
		}),
		service.CLIOptAddCommand(&cli.Command{
			Name:        "template",
			Usage:       "Lint templates",
			Subcommands: []*cli.Command{templateLintCommand(env)},
		}),
	}
}

// arguments moves each --set that comes first behind the command's name. The image's
// entrypoint sets the address there; Benthos drops it when the command has a --set of
// its own, and lets no test run with one.
func arguments(args []string) []string {
	end := 1
	for end < len(args) && strings.HasPrefix(args[end], "-") {
		name, _, withValue := strings.Cut(strings.TrimLeft(args[end], "-"), "=")
		if name != "s" && name != "set" {
			return args
		}
		if end++; !withValue {
			end++
		}
	}
	if end >= len(args) {
		return args
	}
	sets, command := args[1:end], args[end]
	if !slices.Contains([]string{"run", "streams", "echo"}, command) {
		sets = nil // it takes none
	}
	return slices.Concat(args[:1], []string{command}, sets, args[end+1:])
}

// bloblCommand is Benthos' own without its web server, which runs any mapping that a
// request brings, and a mapping can read files and environment variables.
func bloblCommand(options []service.CLIOptFunc) *cli.Command {
	return &cli.Command{
		Name:            "blobl",
		Usage:           "Execute a mapping on documents consumed via stdin or file",
		SkipFlagParsing: true,
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			if slices.Contains(args, "server") {
				return errors.New("blobl server: not part of this distribution, since it runs mappings for whoever can reach its port; `blobl` itself is")
			}
			again := service.CLIOptSetArgs(append([]string{os.Args[0], "blobl"}, args...)...)
			code, err := service.RunCLIToCode(c.Context, append(slices.Clone(options), again)...)
			if err == nil && code != 0 {
				os.Exit(code) // the reason has been printed
			}
			return err
		},
	}
}

// templateLintCommand is Benthos' own in the environment of the distribution.
func templateLintCommand(env *service.Environment) *cli.Command {
	return &cli.Command{
		Name:      "lint",
		Usage:     "Parse templates, run their tests and report any errors",
		ArgsUsage: "FILE...",
		Action: func(c *cli.Context) error {
			if err := explainAbsent(env); err != nil {
				return err
			}
			tester, bad := env.NewStreamTemplateTester(), false
			for _, path := range c.Args().Slice() {
				lints, err := lintTemplate(tester, path)
				if err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
				for _, lint := range lints {
					fmt.Fprintf(os.Stderr, "%s%s\n", path, lint.Error())
					bad = true
				}
			}
			if bad {
				return errors.New("a template has errors")
			}
			return nil
		},
	}
}

func lintTemplate(tester *service.StreamTemplateTester, path string) ([]service.Lint, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lints, err := tester.LintYAML(text)
	if err != nil {
		return nil, err
	}
	failures, err := tester.RunYAML(text)
	return append(lints, failures...), err
}
