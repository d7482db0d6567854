package pipelines

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// metadataNames finds the names of metadata that a config reads or sets.
var metadataNames = regexp.MustCompile(`(?:@|\bmeta )([a-z_]+)`)

// setByInputs are names that the inputs set on each message, or that say of a message of
// theirs what it is: whoever writes to a topic cannot, or might as well write another message.
var setByInputs = regexp.MustCompile(`^(kafka_\w+|happyrobot_(call_id|call_status|run_status|session_id|run_id|event_\w+))$`)

// A header of Kafka becomes metadata, so whoever writes to a topic sets metadata, of
// whatever name. Each pipeline's own tests are run again with every name that the
// pipeline uses set on every message: what comes out is the same.
func TestNoPipelineTrustsMetadataThatAnybodyCanSet(t *testing.T) {
	parse, err := bloblang.Parse(`root = this.text.parse_yaml()`)
	require.NoError(t, err)
	for _, file := range configs(t, "config/*.yaml") {
		t.Run(file, func(t *testing.T) {
			config, err := os.ReadFile(filepath.Join(program.Root, file))
			require.NoError(t, err)
			// happyrobot_runs sets the outcome on each message, and nobody else writes into its messages.
			ofTheInput := bytes.Contains(config, []byte("\n  happyrobot_runs:"))
			names := map[string]bool{"fallback_error": true, "happyrobot_outcome": !ofTheInput, "happyrobot_reason": true}
			for _, found := range metadataNames.FindAllStringSubmatch(string(config), -1) {
				known := setByInputs.MatchString(found[1]) || ofTheInput && found[1] == "happyrobot_outcome"
				names[found[1]] = names[found[1]] || !known
			}
			written, err := os.ReadFile(filepath.Join(program.Root, strings.TrimSuffix(file, ".yaml")+"_benthos_test.yaml"))
			require.NoError(t, err)
			parsed, err := parse.Query(map[string]any{"text": string(written)})
			require.NoError(t, err)
			messages := 0
			for _, test := range parsed.(map[string]any)["tests"].([]any) {
				batches, _ := test.(map[string]any)["input_batches"].([]any)
				batches = append(batches, test.(map[string]any)["input_batch"])
				for _, batch := range batches {
					batch, _ := batch.([]any)
					for _, msg := range batch {
						givenByUpstream, _ := msg.(map[string]any)["metadata"].(map[string]any)
						metadata := map[string]any{}
						for name, hostile := range names {
							if hostile {
								metadata[name] = "not_ready"
							}
						}
						maps.Copy(metadata, givenByUpstream)
						msg.(map[string]any)["metadata"] = metadata
						messages++
					}
				}
			}
			require.Positive(t, messages)
			dir := t.TempDir()
			copied := filepath.Join(dir, filepath.Base(file))
			require.NoError(t, os.WriteFile(copied, config, 0o600))
			hostile, err := json.Marshal(parsed)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(strings.TrimSuffix(copied, ".yaml")+"_benthos_test.yaml", hostile, 0o600))
			out, err := program.Run(t, program.Settings(t, "HAPPYROBOT_BASE_URL=http://127.0.0.1:1/api/v1"), "test", "-r", "resources/local.yaml", copied)
			require.NoError(t, err, out)
			assert.Contains(t, out, "succeeded")
		})
	}
}
