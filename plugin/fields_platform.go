package plugin

import (
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot/platform"
)

const cfFieldCluster = "cluster"

// platformFields are those of whatever calls the API of the platform.
func platformFields() []*service.ConfigField {
	baseURL := service.NewStringField(cfFieldBaseURL).
		Description("Where the API is. Empty is where the cluster has it, `" + platform.US.BaseURL() + "` or `" + platform.EU.BaseURL() + "`. It must be https, but on this machine. Point it at `callsim` to try a pipeline without calling anybody.").
		Default("")
	return append([]*service.ConfigField{
		service.NewStringAnnotatedEnumField(cfFieldCluster, map[string]string{
			string(platform.US): "`" + platform.US.BaseURL() + "`.",
			string(platform.EU): "`" + platform.EU.BaseURL() + "`.",
		}).Description("The cluster of the workspace. A key is known in its own cluster only: the other one answers 401.").
			Default(string(platform.US)),
	}, clientFieldsAt(baseURL)...)
}

// platformFromParsed reads them. Without needsKey there may be no key.
func platformFromParsed(conf *service.ParsedConfig, res *service.Resources, paused *pausedGauge, needsKey bool) (c clientConfig, err error) {
	cluster, err := choice(conf, cfFieldCluster, string(platform.US), string(platform.EU))
	if err != nil {
		return c, err
	}
	c.keyless = !needsKey
	err = c.fromParsed(conf, res, paused, platform.Cluster(cluster).BaseURL())
	return c, err
}

// platformClient makes a client that waits for the rate limit before each request, and
// repeats what is not answered.
func (c clientConfig) platformClient() (*platform.Client, error) {
	o := c.options
	if c.limit != nil {
		o.Wait = c.limit.wait
	}
	return platform.New(platform.Options{Options: o})
}

// platformAsker makes the same, which makes each request once.
func (c clientConfig) platformAsker() (*platform.Client, error) {
	c.options.Retry.MaxElapsedTime, c.options.OnRepeat = time.Nanosecond, nil
	return c.platformClient()
}

// keyed says whether there is a key.
func (c clientConfig) keyed() bool { return c.options.APIKey != "" || c.options.APIKeys != nil }
