package plugin_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestALeadWithoutAWholeKeyFailsAlone(t *testing.T) {
	t.Parallel()
	api := startRecorder(t)
	s := dialerOf(t, api.url, "number_id: "+numberID+"\ndedupe_key: ${! json(\"campaign\") }/${! json(\"id\") }")
	require.NoError(t, s.deliver(
		`{"campaign":"c1","id":"a","phone_number":"+12025550101"}`, `{"campaign":"c1","phone_number":"+12025550102"}`,
		`{"campaign":"c1","phone_number":"+12025550103"}`, `{"campaign":"c1","id":"#N/A","phone_number":"+12025550104"}`,
		`{"campaign":"c1","id":"annul","phone_number":"+12025550105"}`))
	assert.Len(t, api.all(t), 2)
	require.Len(t, s.failures(), 3, "they are three leads, not one")
	for i, what := range []string{"is missing or empty in this message", "is missing or empty in this message", "holds the word #N/A, which programs write for a missing value"} {
		assert.Contains(t, s.failures()[i], `rejected: dedupe_key_failed: dedupe_key: ${! json("id") } `+what)
	}
}

func TestIDsOfManyDigitsAreTwoLeadsOrNone(t *testing.T) {
	t.Parallel()
	messages := []string{
		`{"id":18446744073709551617,"phone_number":"+12025550101"}`, `{"id":18446744073709551618,"phone_number":"+12025550102"}`,
		`{"id":1.0,"phone_number":"+12025550103"}`, `{"id":1,"phone_number":"+12025550104"}`,
	}
	rounding := startRecorder(t)
	s := dialerOf(t, rounding.url, "number_id: "+numberID+"\ndedupe_key: ${! json(\"id\") }")
	require.NoError(t, s.deliver(messages...))
	require.Len(t, s.failures(), 3)
	assert.Contains(t, s.failures()[0], "rejected: dedupe_key_failed: ")
	assert.Contains(t, s.failures()[0], "write ${! this.id }")
	assert.NotContains(t, s.failures()[0], "184467")
	assert.Len(t, rounding.all(t), 1)

	exact := startRecorder(t)
	s = dialerOf(t, exact.url, "number_id: "+numberID+"\ndedupe_key: ${! this.id }")
	require.NoError(t, s.deliver(messages...))
	assert.Empty(t, s.failures())
	assert.Len(t, exact.all(t), 4)
}

// A hash of nothing looks like any other: its parts are checked, not its text.
func TestAHashedKeyWithoutItsIDFailsAlone(t *testing.T) {
	t.Parallel()
	api := startRecorder(t)
	s := dialerOf(t, api.url, "number_id: "+numberID+"\ndedupe_key: ${! (json(\"c\") + \"/\" + json(\"id\").string()).hash(\"sha256\").encode(\"hex\") }")
	require.NoError(t, s.deliver(
		`{"c":"c1","id":null,"phone_number":"+12025550101"}`, `{"c":"c1","phone_number":"+12025550102"}`, `{"c":"c1","id":"NaN","phone_number":"+12025550103"}`,
		`{"c":"c1","id":"dev-null","phone_number":"+12025550104"}`, `{"c":"c1","id":7,"phone_number":"+12025550105"}`))
	assert.Len(t, api.all(t), 2)
	require.Len(t, s.failures(), 3)
	for i, what := range []string{"is missing or empty in this message", "is missing or empty in this message", "holds the word NaN, which programs write for a missing value"} {
		assert.Contains(t, s.failures()[i], `rejected: dedupe_key_failed: dedupe_key: json("id") `+what)
	}
}

func TestAnOptionalPartOfAKeyMayBeMissing(t *testing.T) {
	t.Parallel()
	api := startRecorder(t)
	s := dialerOf(t, api.url, "number_id: "+numberID+"\ndedupe_key: ${! (this.campaign | \"\") + \"/\" + this.id }")
	require.NoError(t, s.deliver(
		`{"id":"1","phone_number":"+12025550101"}`, `{"id":"2","phone_number":"+12025550102"}`, `{"campaign":"c1","id":"2","phone_number":"+12025550103"}`,
		`{"campaign":"c1","id":"","phone_number":"+12025550104"}`))
	assert.Len(t, api.all(t), 3)
	require.Len(t, s.failures(), 1)
	assert.Contains(t, s.failures()[0], `dedupe_key: this.id is missing or empty in this message`)
}
