package plugin

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheOperationDecidesTheBaseURL(t *testing.T) {
	t.Parallel()
	started := func(config string) (*requestProcessor, error) {
		conf, err := processorRequestSpec().ParseYAML(config, nil)
		require.NoError(t, err)
		p, err := newRequestProcessorFromParsed(conf, service.MockResources())
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { assert.NoError(t, p.Close(t.Context())) })
		return p.(*requestProcessor), nil
	}
	for config, want := range map[string]string{
		`{api_key: k, operation: getUsage}`:                                                          "https://app.happyrobot.ai/api/v1",
		`{api_key: k, operation: getRun}`:                                                            "https://platform.happyrobot.ai/api/v2",
		`{api_key: k, operation: legacyListRuns}`:                                                    "https://platform.happyrobot.ai/api/v1",
		`{api_key: k, operation: getRun, base_url: "https://platform.eu.happyrobot.ai/api/v2"}`:      "https://platform.eu.happyrobot.ai/api/v2",
		`{api_key: k, operation: getUsage, base_url: "http://callsim:8080/api/v1"}`:                  "http://callsim:8080/api/v1",
		`{api_key: k, operation: getRun, base_url: "http://127.0.0.1:8080/api/v2", path: "/x/{id}"}`: "http://127.0.0.1:8080/api/v2",
	} {
		p, err := started(config)
		require.NoError(t, err, config)
		assert.Equal(t, want, p.client.options.BaseURL, config)
	}
	for config, want := range map[string]string{ // what no linter has seen
		`{api_key: k, operation: getRun, base_url: "http://platform.happyrobot.ai/api/v2"}`:                   "base_url: must be an https URL",
		`{api_key: k, operation: getRun, base_url: "https://workflows.platform.happyrobot.ai/%68ooks"}`:       "base_url: must not end in a path that would reach a hook",
		`{api_key: k, operation: triggerRun}`:                                                                 "operation: triggerRun would start runs past the ledger; use happyrobot_workflow",
		`{api_key: k, operation: twinSql, path: /runs}`:                                                       "operation: twinSql would run any SQL statement",
		`{api_key: k, operation: streamSession}`:                                                              "operation: streamSession would answer with a stream",
		`{api_key: k, operation: createOutboundCall}`:                                                         "operation: createOutboundCall would place calls past the ledger; use happyrobot_dial",
		`{api_key: k, operation: noSuch}`:                                                                     `operation: neither API has an operation "noSuch"`,
		`{api_key: k, operation: cancelRun, path: "/workflows/{w}/runs"}`:                                     "path: must not be a path that would start runs",
		`{api_key: k, operation: getRun, path: "/hooks/{slug}"}`:                                              "path: must not be a path that would reach a hook",
		`{api_key: k, operation: getRun, path: "/runs//x"}`:                                                   "path: must be a path below the base URL",
		`{api_key: k, operation: exportCalls, base_url: "https://app.happyrobot.ai/api/v1/dial", path: /out}`: "base_url: must not end in a path that would place calls",
	} {
		_, err := started(config)
		assert.ErrorContains(t, err, want, config)
	}
}
