package kafka_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestAClusterThatIsAwayAtStartIsWaitedFor(t *testing.T) {
	t.Parallel()
	address, port := outPort(t)
	s := outRunAt(t, slog.LevelDebug, "redpanda:\n"+outFields("seed_brokers: [ %q ]\ntopic: t", address))
	done := outAsync(t, s, outBatch("a"))
	outEventually(t, s, "Failed to connect to redpanda: no broker can be reached (`seed_brokers`: "+address+"): connect: connection refused")
	tries := func() int { return s.log.count("unable to open connection to broker") }
	soFar := tries()
	require.Eventually(t, func() bool { return tries() >= soFar+3 }, 15*time.Second, 20*time.Millisecond)
	assert.Equal(t, 1, s.log.count("Failed to connect"), s.log.text())

	cluster := outFake(t, kfake.Ports(port), kfake.SeedTopics(1, "t"))
	outWritten(t, done)
	outEventually(t, s, "Kafka answers again, after")
	outRead(t, outBrokers(cluster), "t", 1)
}

func TestAClusterThatGoesAwayIsWaitedForAndNothingIsLost(t *testing.T) {
	t.Parallel()
	_, port := outPort(t)
	dir := t.TempDir()
	start := func() *kfake.Cluster {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites(), kfake.SeedTopics(1, "t"))
		require.NoError(t, err)
		return cluster
	}
	cluster := start()
	s := outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t", outBrokers(cluster)))
	require.NoError(t, s.send(t.Context(), outBatch("before")))
	cluster.Close()

	first, second := outAsync(t, s, outBatch("a")), outAsync(t, s, outBatch("b"))
	outEventually(t, s, "Writing to Kafka is held up: no broker can be reached")
	cluster = start()
	defer cluster.Close()
	outWritten(t, first)
	outWritten(t, second)
	outEventually(t, s, "Writing to Kafka resumed")
	assert.Equal(t, 1, s.log.count("held up"), s.log.text())
	assert.ElementsMatch(t, []string{"before", "a", "b"}, outValues(outRead(t, outBrokers(cluster), "t", 3)))
}

func TestEachSASLMechanism(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			cluster := outFake(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "alice", "pa55word"), kfake.SeedTopics(1, "t"))
			brokers := outBrokers(cluster)
			s := outRun(t, outSASL(brokers, mechanism, "alice", "pa55word"))
			require.NoError(t, s.send(t.Context(), outBatch("a")))

			for user, password := range map[string]string{"alice": "wrong-pa55", "bob": "pa55word"} {
				s := outRun(t, outSASL(brokers, mechanism, user, password))
				outAsync(t, s, outBatch("a"))
				outEventually(t, s, "refuses the credentials; check `sasl.username` and `sasl.password`") // in this process it does not answer, but hangs up
				assert.NotContains(t, s.log.text(), "pa55")
			}
			s = outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t", brokers))
			outAsync(t, s, outBatch("a"))
			outEventually(t, s, "check whether it expects `sasl`")
		})
	}
}

func TestABrokerThatAnswersToWrongCredentials(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "alice", "pa55word"))
	cluster.ControlKey(kmsg.SASLAuthenticate.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, true
	})
	s := outRun(t, outSASL(outBrokers(cluster), "PLAIN", "alice", "other-pa55"))
	outAsync(t, s, outBatch("a"))
	outEventually(t, s, "Failed to connect to redpanda: the broker refused the credentials; check `sasl.username` and `sasl.password`")
	assert.NotContains(t, s.log.text(), "pa55")
}

func outSASL(brokers, mechanism, user, password string) string {
	return outFields(`
seed_brokers: [ %q ]
topic: t
sasl:
  - mechanism: %s
    username: %s
    password: %s
`, brokers, mechanism, user, password)
}

func TestAMechanismThatTheBrokerLacks(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "alice", "pa55word"))
	s := outRun(t, outFields(`
seed_brokers: [ %q ]
topic: t
sasl:
  - mechanism: OAUTHBEARER
    token: t0ken
    extensions: { a: b }
`, outBrokers(cluster)))
	outAsync(t, s, outBatch("a"))
	outEventually(t, s, "the broker does not support the mechanism OAUTHBEARER; check `sasl.mechanism`")
	assert.NotContains(t, s.log.text(), "t0ken")
}

func TestCredentialsThatAreRevokedWhileRunning(t *testing.T) {
	t.Parallel()
	_, port := outPort(t)
	start := func(password string) *kfake.Cluster {
		return outFake(t, kfake.Ports(port), kfake.EnableSASL(), kfake.Superuser("PLAIN", "alice", password), kfake.SeedTopics(1, "t"))
	}
	cluster := start("pa55word")
	s := outRun(t, outSASL(outBrokers(cluster), "PLAIN", "alice", "pa55word"))
	require.NoError(t, s.send(t.Context(), outBatch("a")))
	cluster.Close()
	cluster = start("other")
	done := outAsync(t, s, outBatch("b"))
	outEventually(t, s, "as it does when it refuses the credentials; check `sasl.username`")
	cluster.Close()
	start("pa55word")
	outWritten(t, done)
	assert.Equal(t, 0, s.log.count("Failed to send"), "each try would be a line: %s", s.log.text())
}

// outAuthority makes a certificate for 127.0.0.1 that signs itself, and its file.
func outAuthority(t *testing.T) (conf *tls.Config, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kafka"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	file = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, file
}

// hangsUp is a port that closes a connection when it is greeted with TLS, as Kafka's ports
// without TLS do. The pretend cluster says nothing until the time is up.
func hangsUp(t *testing.T) (address string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 16))
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestTLS(t *testing.T) {
	t.Parallel()
	conf, file := outAuthority(t)
	secure := outFake(t, kfake.TLS(conf), kfake.SeedTopics(1, "t"))
	tlsFields := "seed_brokers: [ %q ]\ntopic: t\ntls:\n  enabled: true\n  root_cas_file: %q"

	s := outRun(t, outFields(tlsFields, outBrokers(secure), file))
	require.NoError(t, s.send(t.Context(), outBatch("a")))
	outRead(t, outBrokers(secure), "t", 1, kgo.DialTLSConfig(&tls.Config{InsecureSkipVerify: true}))

	s = outRun(t, outFields(tlsFields, hangsUp(t), file))
	outAsync(t, s, outBatch("a"))
	outEventually(t, s, "does not speak TLS on this port; use its port for TLS, or set `tls.enabled` to false")

	s = outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t", outBrokers(secure)))
	outAsync(t, s, outBatch("a"))
	outEventually(t, s, "set `tls.enabled` to true")

	s = outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t\ntls:\n  enabled: true", outBrokers(secure)))
	outAsync(t, s, outBatch("a"))
	outEventually(t, s, "is not trusted; check `tls.root_cas_file`")

	ask, _ := outAuthority(t)
	ask.ClientAuth = tls.RequireAnyClientCert
	asking := outFake(t, kfake.TLS(ask))
	s = outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t\ntls:\n  enabled: true\n  skip_cert_verify: true", outBrokers(asking)))
	outAsync(t, s, outBatch("a"))
	outEventually(t, s, "check `tls.client_certs`")
}

func TestAStopDoesNotWaitForACluster(t *testing.T) {
	t.Parallel()
	cluster := outFake(t, kfake.SeedTopics(1, "t"))
	s := outRun(t, outFields("seed_brokers: [ %q ]\ntopic: t", outBrokers(cluster)))
	require.NoError(t, s.send(t.Context(), outBatch("a")))
	cluster.Close()
	done := outAsync(t, s, outBatch("b"))
	began := time.Now()
	s.stop()
	assert.Less(t, time.Since(began), 4*time.Second)
	select {
	case err := <-done:
		require.Error(t, err, "what is not stored is delivered again")
	default: // Benthos ended without an answer, which comes to the same
	}
}
