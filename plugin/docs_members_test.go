package plugin_test

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// describedMember is a member of a call in the API's description.
type describedMember struct {
	happyrobot.Member
	types, limits, meaning string
	required               bool
}

// describedMembers reads OutboundCall of the description.
func describedMembers(t *testing.T) (members []describedMember) {
	t.Helper()
	spec, err := os.ReadFile("../resources/openapi/happyrobot-v1.openapi.yaml")
	require.NoError(t, err)
	doc, err := libopenapi.NewDocument(spec)
	require.NoError(t, err)
	model, err := doc.BuildV3Model()
	require.NoError(t, err)
	schemas := model.Model.Components.Schemas
	call, ok := schemas.Get("OutboundCall")
	require.True(t, ok)
	required := call.Schema().Required
	for name, proxy := range call.Schema().Properties.FromOldest() {
		schema := proxy.Schema()
		m := describedMember{meaning: strings.TrimSpace(schema.Description), required: slices.Contains(required, name)}
		m.Name, m.Deprecated = name, schema.Deprecated != nil && *schema.Deprecated
		if proxy.IsReference() { // whose own words stand beside it
			referred, ok := schemas.Get(path.Base(proxy.GetReference()))
			require.True(t, ok, name)
			schema = referred.Schema()
		}
		for _, value := range schema.Enum {
			m.Values = append(m.Values, value.Value)
		}
		m.types, m.limits = typeAndLimits(schema)
		members = append(members, m)
	}
	return members
}

func typeAndLimits(s *base.Schema) (types, limits string) {
	types = strings.Join(s.Type, " or ")
	if types == "" {
		types = "any"
	}
	if s.Format != "" {
		types += ", " + s.Format
	}
	if s.MinLength != nil && s.MaxLength != nil && *s.MinLength == *s.MaxLength {
		limits = fmt.Sprintf("exactly %d characters", *s.MinLength)
	}
	return types, limits
}

// callMembersTable is the part of a page that lists the members of a call.
func callMembersTable(t *testing.T) string {
	t.Helper()
	// What this component checks beyond the description.
	ours := map[string]string{
		"phone_number":      "a number that may be called; sent in E.164 form",
		"scheduled_for":     "with a zone; the years 2000 to 9999",
		"max_duration_mins": "at least 1, at most `max_call_mins`",
		"language":          "open: another value is sent, with a warning",
		"params":            "none documented",
		"metadata":          "none documented; `dial_ref` is set by this component",
	}
	var b strings.Builder
	b.WriteString("\n## Members of a call\n\nFrom the [description of the API](../../resources/openapi/happyrobot-v1.openapi.yaml). An empty text is an absent member, except in `params`.\n\n")
	b.WriteString("| Member | Type | Allowed values | Limits | Meaning |\n| --- | --- | --- | --- | --- |\n")
	for _, m := range describedMembers(t) {
		name := "`" + m.Name + "`"
		if m.required {
			name += " (required)"
		}
		if m.Deprecated {
			name += " (deprecated)"
		}
		values := ""
		if len(m.Values) > 0 {
			values = "`" + strings.Join(m.Values, "`, `") + "`"
		}
		limits := m.limits
		if own := ours[m.Name]; own != "" {
			limits = strings.TrimPrefix(limits+"; "+own, "; ")
		}
		if m.Deprecated {
			limits = "sent as it is, with one warning"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, m.types, values, limits, strings.ReplaceAll(m.meaning, "|", `\|`))
	}
	return b.String()
}

// The members are written down twice, so that the program need not carry the
// description: they must agree.
func TestTheMembersOfACallAreThoseOfTheDescription(t *testing.T) {
	t.Parallel()
	var described []happyrobot.Member
	for _, m := range describedMembers(t) {
		described = append(described, m.Member)
	}
	assert.Equal(t, described, happyrobot.CallMembers())
}
