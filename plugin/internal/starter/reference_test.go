package starter

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	ours   = "0123456789abcdef0123456789abcdef"
	theirs = "ffffffffffffffffffffffffffffffff"
)

// Another thing of that name, elsewhere in a payload, is no reference of the run. Nor is
// what only stands in for one.
func TestOnlyAReferenceAtItsOwnPlaceSaysThatARunHasOne(t *testing.T) {
	t.Parallel()
	for columns, want := range map[string][]string{
		`{"n1.data.dial_ref":"REF"}`:                                {ours},
		`{"N1.dial_ref":" REF "}`:                                   {ours},
		`{"n1.data.other":"y","n1.data.dial_ref":"REF"}`:            {ours},
		`{"n1.data.dial_ref":"` + theirs + `","n1.dial_ref":"REF"}`: {ours},
		`{"n1.data.before.dial_ref":"REF"}`:                         nil,
		`{"n1.response.dial_ref":"REF"}`:                            nil,
		`{"n2.data.dial_ref":"REF"}`:                                nil,
		`{"n1.data.dial_ref":""}`:                                   nil,
		`{"n1.data.dial_ref":"-"}`:                                  nil,
		`{"n1.data.dial_ref":"null"}`:                               nil,
		`{"n1.data.dial_ref":"0123456789abcdef0123…"}`:              nil,
		`{"n1.data.dial_ref":null}`:                                 nil,
		`{"dial_ref":"REF"}`:                                        nil,
		`{}`:                                                        nil,
		``:                                                          nil,
		`[]`:                                                        nil,
	} {
		columns = strings.ReplaceAll(columns, "REF", ours)
		assert.Equal(t, want, placesOf("dial_ref").inColumns([]byte(columns), "n1"), columns)
	}
	assert.Equal(t, []string{ours}, placesOf("dial_ref").inColumns([]byte(`{"n2.data.dial_ref":"`+ours+`"}`), ""), "while the trigger is not known, any node's counts")
	assert.Equal(t, []string{ours}, placesOf("meta.ref").inColumns([]byte(`{"n1.data.meta.ref":"`+ours+`"}`), "n1"))
	assert.Equal(t, ours, placesOf("meta.ref").inData([]byte(`{"data":{"meta":{"ref":"`+ours+`"}}}`)))
	assert.Equal(t, ours, placesOf("meta.ref").inData([]byte(`{"meta":{"ref":"`+ours+`"},"ref":"`+theirs+`"}`)))
	assert.Empty(t, placesOf("meta.ref").inData([]byte(`{"meta":{"ref":"-"},"ref":"`+ours+`"}`)))
}
