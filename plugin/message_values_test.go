package plugin

import (
	"testing"

	"github.com/redpanda-data/benthos/v4/public/bloblang"
	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Bloblang's errors repeat what they found, short ids and names included.
func TestErrorsOfMappingsShowNoValues(t *testing.T) {
	t.Parallel()
	for mapping, message := range map[string]string{
		`root = this.id.uppercase()`:                  `{"id":17}`,
		`root = this.id.number() + this.id.length()`:  `{"id":17}`,
		`root = this.id.map_each(x -> x)`:             `{"id":17.5}`,
		`root = this.id.index(0)`:                     `{"id":true}`,
		`root = this.id.keys()`:                       `{"id":"say \"Ada\" (17) to"}`,
		`root = this.id.number()`:                     `{"id":"Ada 17"}`,
		`root = this.id.uppercase().or("") + this.id`: `{"id":17}`,
	} {
		executor, err := bloblang.Parse(mapping)
		require.NoError(t, err)
		_, err = service.NewMessage([]byte(message)).BloblangQuery(executor)
		require.Error(t, err, mapping)
		shown := withoutValues(err)
		for _, value := range []string{"17", "Ada", "true"} {
			assert.NotContains(t, shown, value, "%s: %v", mapping, err)
		}
		assert.Contains(t, shown, "(line 1)", "what else it says stays: %s", shown)
	}
}
