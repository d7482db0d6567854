package starter

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Another thing of that name, elsewhere in a payload, is no reference of the run.
func TestOnlyTheReferencesOwnPlaceSaysThatARunHasOne(t *testing.T) {
	t.Parallel()
	for columns, want := range map[string]bool{
		`{"n1.data.dial_ref":"x"}`:                       true,
		`{"n1.dial_ref":"x"}`:                            true,
		`{"n1.data.other":"y","n1.data.dial_ref":" x "}`: true,
		`{"n1.data.before.dial_ref":"x"}`:                false,
		`{"n1.response.dial_ref":"x"}`:                   false,
		`{"n2.data.dial_ref":"x"}`:                       false,
		`{"n1.data.dial_ref":""}`:                        false,
		`{"n1.data.dial_ref":null}`:                      false,
		`{"dial_ref":"x"}`:                               false,
		`{}`:                                             false,
		``:                                               false,
		`[]`:                                             false,
	} {
		assert.Equal(t, want, restsOfKey("dial_ref").marks([]byte(columns), "n1"), columns)
	}
	assert.True(t, restsOfKey("dial_ref").marks([]byte(`{"n2.data.dial_ref":"x"}`), ""), "while the trigger is not known, any node's counts")
	assert.True(t, restsOfKey("meta.ref").marks([]byte(`{"n1.data.meta.ref":"x"}`), "n1"))
}
