package plugin_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEachOfSeveralSecretsLetsAnEventIn(t *testing.T) {
	h := hook(t, "", "secrets: [ "+hookSecret+", another-secret ]")
	h.pass(endOf("a"))
	post := func(secret string) int {
		return h.do(h.request("POST", h.url, strings.NewReader("{}"), map[string]string{"x-hook-secret": secret})).status
	}
	assert.Equal(t, http.StatusBadRequest, post("another-secret"), "let in, and no event")
	for _, wrong := range []string{"", "another", hookSecret + "another-secret", "[" + hookSecret + "]"} {
		assert.Equal(t, http.StatusUnauthorized, post(wrong), wrong)
	}
	assert.NotContains(t, h.logs.String(), "another-secret")
}

// Each handshake is a real one, on a connection of its own.
func TestACertificateIsServedAnewWhenItsFilesChange(t *testing.T) {
	certFile, keyFile, old := certificate(t)
	newCert, newKey, fresh := certificate(t)
	h := hook(t, "", fmt.Sprintf("tls: {cert_file: %q, key_file: %q}", certFile, keyFile))
	served := func(roots *x509.CertPool) bool {
		conn, err := tls.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(h.url, "https://"), "/happyrobot"), &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}
	soonServed := func(roots *x509.CertPool) {
		t.Helper()
		require.Eventually(t, func() bool { return served(roots) }, time.Minute, 10*time.Millisecond)
	}
	saw := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return served(old) && strings.Contains(h.logs.String(), text) }, time.Minute, 10*time.Millisecond, text)
	}
	move := func(from, to string, part float64) {
		t.Helper()
		content, err := os.ReadFile(from)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(to, content[:int(part*float64(len(content)))], 0o600))
	}
	require.True(t, served(old))
	require.False(t, served(fresh))

	move(newCert, certFile, 0.5)
	saw("Certificate files cannot be used, so the last certificate is still served: ")
	move(newCert, certFile, 1) // and the key is the old one's
	require.True(t, served(old))
	move(newKey, keyFile, 1)
	soonServed(fresh)
	require.False(t, served(old))
	assert.Contains(t, h.logs.String(), "Certificate replaced: ")
	assert.Contains(t, h.logs.String(), "Certificate files can be used again, after ")
	assert.Equal(t, 1, strings.Count(h.logs.String(), "Certificate files cannot be used"))

	require.NoError(t, os.Remove(keyFile))
	require.Eventually(t, func() bool {
		return served(fresh) && strings.Count(h.logs.String(), "Certificate files cannot be used") == 2
	}, time.Minute, 10*time.Millisecond)
	move(newKey, keyFile, 1)
	h.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: fresh, MinVersion: tls.VersionTLS12}
	h.pass(endOf("a"))
}
