package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/urfave/cli/v2"
)

// defaultAddress serves readiness and metrics to this machine only. Benthos' own
// default is every address.
const defaultAddress = "127.0.0.1:4195"

const flagAPI = "api"

// resourceLists are the resources that `streams` does not read from the file of -o.
var resourceLists = []string{"input_resources", "cache_resources", "processor_resources", "rate_limit_resources", "output_resources"}

// doors decides what the service-wide HTTP server of a process may serve, and to
// whom. One value serves one process.
type doors struct {
	env     *service.Environment
	streams bool // the command is streams
	api     bool // its REST API was asked for
	stop    stopper

	resources, streamFiles []string // that the command line names
}

func (d *doors) options() []service.CLIOptFunc {
	return []service.CLIOptFunc{
		service.CLIOptSetDefaultConfigPaths(defaultConfigs...),
		service.CLIOptSetMainSchemaFrom(d.schema),
		service.CLIOptCustomRunFlags([]cli.Flag{
			&cli.BoolFlag{Name: flagAPI, Usage: "streams mode: serve the REST API, which needs http.basic_auth"},
		}, d.beforeRun),
		service.CLIOptOnConfigParse(d.onConfig),
		service.CLIOptOnStreamStart(d.stop.listen),
	}
}

func (d *doors) schema() *service.ConfigSchema {
	s := d.env.FullConfigSchema(version, dateBuilt)
	s.SetFieldDefault(defaultAddress, "http", "address")
	return s
}

// beforeRun looks at the command line before Benthos does.
func (d *doors) beforeRun(c *cli.Context) error {
	if err := explainAbsent(d.env); err != nil { // templates have been read: they come first
		return err
	}
	d.resources = configFiles(resourceFiles(c))
	switch c.Command.Name { // these call it, too, and serve nothing
	case "lint":
		return d.lintCaches(configFiles(slices.Concat(c.Args().Slice(), []string{c.String("config")}, resourceFiles(c))))
	case "echo", "test":
		return nil
	}
	if d.streams = c.Command.Name == "streams"; d.streams {
		d.streamFiles = configFiles(c.Args().Slice())
	}
	for _, at := range c.Lineage() { // a flag before the command's name counts, too
		d.api = d.api || at.Bool(flagAPI)
	}
	switch {
	case d.api && !d.streams:
		return errors.New("--api: only the command streams has a REST API")
	case d.api && c.Bool("no-api"):
		return errors.New("--api and --no-api: give one of them")
	case d.streams && !d.api && c.IsSet("no-api") && !c.Bool("no-api"):
		return errors.New("--no-api=false: the REST API is off by default; --api turns it on, and needs http.basic_auth")
	case d.streams && !d.api:
		if err := c.Set("no-api", "true"); err != nil {
			return fmt.Errorf("turning the REST API off: %w", err)
		}
	}
	// Benthos starts its server before it calls onConfig. So what the server must not
	// serve is looked for in the files first, as far as they can be read here: Benthos
	// reports what is wrong with them itself.
	conf, err := preview(c, d.schema())
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	return d.check(conf)
}

// onConfig has the last word: it sees the config as Benthos read it, after the server
// listens and before the REST API exists.
func (d *doors) onConfig(conf *service.ParsedConfig) error {
	if d.streams {
		for _, list := range resourceLists {
			if resources, err := conf.FieldAnyList(list); err == nil && len(resources) > 0 {
				return fmt.Errorf("%s: streams ignores resources in the file of -o; move them to a file of their own and pass it with -r", list)
			}
		}
	}
	if err := d.checkCaches(conf); err != nil {
		return err
	}
	if err := d.check(conf); err != nil {
		return err
	}
	return d.stop.read(conf)
}

// check refuses a config that shows to others what they must not see.
func (d *doors) check(conf *service.ParsedConfig) error {
	http, err := readHTTP(conf)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	switch {
	case http.address == "" && http.enabled:
		return errors.New("http.address: is empty, which means every address of this machine; leave it out for " + defaultAddress)
	case d.api && !http.authenticated:
		return errors.New("--api: the REST API can read and replace every stream and resource, and a web page in a browser can reach it on 127.0.0.1. " + setBasicAuth("in the file of -o"))
	case http.debug && !http.authenticated:
		return errors.New("http.debug_endpoints: they show the config and the memory of the process. " + setBasicAuth("beside it"))
	case http.authenticated && http.password.matches(nil):
		return errors.New("http.basic_auth.password_hash: is the hash of an empty password; set the variable that holds the password, and make the hash again")
	}
	return checkMetricsMapping(conf)
}

// httpConf is what decides who may see what.
type httpConf struct {
	enabled, debug, authenticated bool
	address                       string
	password                      passwordHash
}

func readHTTP(conf *service.ParsedConfig) (h httpConf, err error) {
	if h.enabled, err = conf.FieldBool("http", "enabled"); err != nil {
		return h, err
	}
	if h.address, err = conf.FieldString("http", "address"); err != nil {
		return h, err
	}
	if h.debug, err = conf.FieldBool("http", "debug_endpoints"); err != nil {
		return h, err
	}
	if h.authenticated, err = conf.FieldBool("http", "basic_auth", "enabled"); err != nil {
		return h, err
	}
	for field, into := range map[string]*string{"password_hash": &h.password.hash, "algorithm": &h.password.algorithm, "salt": &h.password.salt} {
		if *into, err = conf.FieldString("http", "basic_auth", field); err != nil {
			return h, err
		}
	}
	return h, nil
}

func setBasicAuth(where string) string {
	return "Set http.basic_auth.enabled, username and password_hash " + where +
		`; a password's hash is the output of: printf %s "$PASSWORD" | openssl dgst -sha256 -binary | base64`
}

// checkMetricsMapping refuses a mapping that reads files or variables, since metrics
// are served without authentication. Benthos runs it with the global Bloblang.
func checkMetricsMapping(conf *service.ParsedConfig) error {
	metrics, err := plainField(conf, "metrics")
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	members, _ := metrics.(map[string]any)
	mapping, isText := members["mapping"].(string)
	if !isText || mapping == "" {
		return nil
	}
	public := bloblang.GlobalEnvironment().WithoutFunctions("env", "file", "file_rel").WithoutMethods("bloblang").WithDisabledImports()
	if _, err := public.Parse(mapping); err != nil {
		return fmt.Errorf("metrics.mapping: must do without env, file, file_rel, bloblang and import, since metrics are public; write ${NAME} for an environment variable: %w", err)
	}
	return nil
}

// plainField is a field as maps, lists and values. Benthos keeps components as nodes
// of YAML.
func plainField(conf *service.ParsedConfig, name ...string) (value any, err error) {
	if value, err = conf.FieldAny(name...); err != nil {
		return nil, err
	}
	if node, ok := value.(interface{ Decode(into any) error }); ok {
		value = nil
		err = node.Decode(&value)
	}
	return value, err
}
