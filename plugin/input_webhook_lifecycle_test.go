package plugin_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots = x509.NewCertPool()
	roots.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", secret), roots
}

func TestEventsComeOverTLS(t *testing.T) {
	cert, key, roots := certificate(t)
	h := hook(t, "", fmt.Sprintf("tls: {cert_file: %q, key_file: %q}", cert, key))
	require.True(t, strings.HasPrefix(h.url, "https://"), h.url)
	h.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	h.pass(endOf("a"))

	plain := h.do(h.request("POST", strings.Replace(h.url, "https:", "http:", 1), strings.NewReader(endOf("b")), withSecret))
	assert.Equal(t, http.StatusBadRequest, plain.status, "nothing is taken in the clear")
	h.nothing()
	assert.NotContains(t, h.logs.String(), "TLS handshake", "single connections are no news")
}

func TestAStopLetsEventsInThePipelineFinish(t *testing.T) {
	h := hook(t, "", "timeout: 1h")
	first := h.send(endOf("a"))
	a := h.next()
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		stopped <- h.stream.Stop(ctx)
	}()
	// What is no event never enters the pipeline, whether or not the stop has begun.
	require.Eventually(t, func() bool { return h.post("{").body == "stopping\n" }, time.Minute, 5*time.Millisecond)
	assert.Equal(t, "stopping\n", h.post(endOf("b")).body, "new events are sent away at once")
	a.ack()
	assert.Equal(t, http.StatusOK, (<-first).status, "the one in the pipeline is answered")
	require.NoError(t, <-stopped)
	<-h.ended

	assert.Zero(t, h.post(endOf("c")).status, "nobody listens any more")
	h.client.CloseIdleConnections()
	noneLeft(t)
}

func TestAHardStopLeavesNobodyWaiting(t *testing.T) {
	h := hook(t, "", "timeout: 1h")
	waiting := h.send(endOf("a"))
	h.next()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_ = h.stream.Stop(ctx) // the output never answers
	select {
	case got := <-waiting:
		assert.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
	case <-time.After(time.Minute):
		t.Error("a sender waits for ever")
	}
	h.client.CloseIdleConnections()
	noneLeft(t)
}

// noneLeft says that all goroutines of webhooks have ended. It looks at the whole
// process, so tests with webhooks do not run beside each other.
func noneLeft(t *testing.T) {
	t.Helper()
	stacks := func() string {
		all := make([]byte, 1<<20)
		return string(all[:runtime.Stack(all, true)])
	}
	assert.Eventually(t, func() bool {
		all := stacks()
		return !strings.Contains(all, "plugin.(*webhook") && !strings.Contains(all, "plugin/internal/webhook.")
	}, time.Minute, 10*time.Millisecond)
	if t.Failed() {
		t.Log(stacks())
	}
}

func TestABusyAddressIsTriedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	logged := &logs{}
	b := service.NewStreamBuilder()
	b.SetLogger(slog.New(slog.NewTextHandler(logged, nil)))
	require.NoError(t, b.AddInputYAML(fmt.Sprintf("happyrobot_webhook: {address: %q, secret: s}", l.Addr())))
	require.NoError(t, b.AddOutputYAML("drop: {}"))
	stream, err := b.Build()
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(context.Background()) }()
	require.Eventually(t, func() bool { return strings.Contains(logged.String(), "address: listen tcp") }, time.Minute, time.Millisecond)
	require.NoError(t, l.Close())
	require.Eventually(t, func() bool { return listening.MatchString(logged.String()) }, time.Minute, time.Millisecond)
	require.NoError(t, stream.StopWithin(time.Minute))
	require.NoError(t, <-ended)
}

func TestAWebhookRefusesMistakesAtStart(t *testing.T) {
	cert, key, _ := certificate(t)
	for fields, names := range map[string]string{
		`secret: ""`:                                "secret: must not be empty, unless secrets is set",
		`secrets: []`:                               "secret: must not be empty, unless secrets is set",
		`secret: s, secrets: [t]`:                   "secret and secrets: only one of them may be set",
		`secrets: [s, ""]`:                          "secrets: each must be printable ASCII, not empty, without blanks around it; number 2 is not",
		`secret: "a\nb"`:                            "secret",
		`secret: "\n"`:                              "secret: it must be printable ASCII, not empty, without blanks around it",
		`secret: s, secret_header: ""`:              "secret_header",
		`secret: s, path: events`:                   "path",
		`secret: s, cache: nowhere`:                 "cache",
		`secret: s, timeout: 0s`:                    "timeout",
		`secret: s, read_timeout: -1s`:              "read_timeout",
		`secret: s, max_body_bytes: 0`:              "max_body_bytes",
		`secret: s, max_in_flight: -1`:              "max_in_flight",
		`secret: s, max_connections: 0`:             "max_connections",
		`secret: s, tls: {cert_file: ` + cert + `}`: "key_file",
		`secret: s, tls: {cert_file: ` + key + `, key_file: ` + key + `}`: "tls",
		`secret: s, tls: {cert_file: nowhere.pem, key_file: ` + key + `}`: "tls",
	} {
		b := service.NewStreamBuilder()
		b.DisableLinting()
		require.NoError(t, b.AddInputYAML("happyrobot_webhook: {"+fields+"}"))
		require.NoError(t, b.AddOutputYAML("drop: {}"))
		stream, err := b.Build()
		if err == nil {
			err = stream.Run(t.Context())
		}
		require.Error(t, err, fields)
		assert.Contains(t, err.Error(), names)
		assert.NotContains(t, err.Error(), "number 1 is not", "a secret has no number, and the first of these lists is right")
	}
}
