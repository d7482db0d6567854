package plugin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One rule for each secret that is sent: see TestASecretMayEndInALineBreak for those
// that are compared.
func TestAKeyAndHeadersMayEndInALineBreak(t *testing.T) {
	t.Setenv("MOUNTED_KEY", "k3y\n")
	t.Setenv("MOUNTED_TEAM", "t34m\r\n")
	shown := make(chan http.Header, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		shown <- req.Header
		_, _ = w.Write([]byte(`{}`))
	}))
	defer srv.Close()
	for _, quoted := range []string{"", `"`} {
		s := run(t, parts{processors: []string{`
happyrobot_request:
  api_key: ` + quoted + `${MOUNTED_KEY}` + quoted + `
  base_url: ` + srv.URL + `
  operation: getUsage
  headers: { X-Team: ` + quoted + `${MOUNTED_TEAM}` + quoted + ` }
`}})
		require.NoError(t, s.deliver(`{}`))
		sent := <-shown
		assert.Equal(t, "Bearer k3y", sent.Get("Authorization"))
		assert.Equal(t, "t34m", sent.Get("X-Team"))
		for _, field := range []string{"api_key", "headers.X-Team"} {
			assert.Equal(t, 1, strings.Count(s.logs.String(), "The line break at the end of `"+field+"` was removed"), s.logs.String())
		}
		assert.NotContains(t, s.logs.String(), "k3y")
		assert.NotContains(t, s.logs.String(), "t34m")
	}
}
