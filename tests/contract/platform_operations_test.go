package contract

import (
	"os"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// The platform's description says of an operation by what it is known, in several words.
// One that the vendor describes or documents is Documented, one that only programs and
// the SDK show is Partial.
func TestTheTableOfThePlatformsOperationsIsTheDescriptions(t *testing.T) {
	spec, err := os.ReadFile("../../resources/openapi/happyrobot-v2.openapi.yaml")
	require.NoError(t, err)
	doc, err := libopenapi.NewDocument(spec)
	require.NoError(t, err)
	model, err := doc.BuildV3Model()
	require.NoError(t, err)

	type row struct{ method, path, evidence, server string }
	described, table := map[string]row{}, map[string]row{}
	var order []string
	for path, item := range model.Model.Paths.PathItems.FromOldest() {
		server := model.Model.Servers[0].URL
		if len(item.Servers) > 0 {
			server = item.Servers[0].URL
		}
		for method, op := range item.GetOperations().FromOldest() {
			evidence := happyrobot.Partial
			for _, word := range op.Extensions.GetOrZero("x-evidence").Content {
				if word.Value == "described" || word.Value == "documented" {
					evidence = happyrobot.Documented
				}
			}
			described[op.OperationId] = row{strings.ToUpper(method), path, string(evidence), server}
			order = append(order, op.OperationId)
		}
	}
	var ids []string
	for _, op := range happyrobot.PlatformOperations() {
		server := op.API.BaseURL()
		if strings.HasPrefix(op.Path, "/hooks/") {
			server = "https://workflows.platform.happyrobot.ai" // of the hooks alone, which nothing asks by its operation
		}
		table[op.ID] = row{op.Method, op.Path, string(op.Evidence), server}
		ids = append(ids, op.ID)
		assert.NotEmpty(t, op.Summary, op.ID)
	}
	assert.Equal(t, described, table)
	assert.Equal(t, order, ids)
	assert.Len(t, ids, 26)
}
