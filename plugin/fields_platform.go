package plugin

import (
	"slices"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

const pfFieldCluster = "cluster" // pf: fields of what calls the platform

// platformFields are clientFields for the platform.
func platformFields() []*service.ConfigField {
	fields := clientFieldsAt(service.NewStringField(cfFieldBaseURL).
		Description("Where the API is, in place of the cluster's address. It must be https, but on this machine. Point it at `callsim` to try a pipeline without calling anybody.").
		Default("").
		Example("http://127.0.0.1:8181/api/v2"))
	return slices.Insert(fields, 2, service.NewStringAnnotatedEnumField(pfFieldCluster, map[string]string{
		string(platform.US): "`" + platform.US.BaseURL() + "`",
		string(platform.EU): "`" + platform.EU.BaseURL() + "`",
	}).Description("The cluster of the workspace, which decides the base URL. A key of another cluster is answered 401.").
		Default(string(platform.US)))
}

// platformFromParsed reads them.
func platformFromParsed(conf *service.ParsedConfig, res *service.Resources, paused *pausedGauge) (clientConfig, error) {
	cluster, err := choice(conf, pfFieldCluster, string(platform.US), string(platform.EU))
	if err != nil {
		return clientConfig{}, err
	}
	return clientFromParsedAt(conf, res, paused, platform.Cluster(cluster).BaseURL())
}

// platform makes a client of the platform that waits for the rate limit before each request.
func (c clientConfig) platform() (*platform.Client, error) {
	o := c.options
	if c.limit != nil {
		o.Wait = c.limit.wait
	}
	return platform.New(platform.Options{Options: o})
}
