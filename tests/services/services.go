// Package services gives tests the real services that services.sh, or
// compose.yaml, brings up on loopback. Without them a test that asks is skipped
// and says how to bring them up; with TEST_SERVICES=required it fails.
package services

import (
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// Kafka is the address of a broker in which tests may create topics.
func Kafka(t testing.TB) (broker string) {
	t.Helper()
	broker = need(t, "TEST_KAFKA_BROKERS")
	answers(t, "TEST_KAFKA_BROKERS", strings.Split(broker, ",")[0])
	return broker
}

// Redis is the URL of a Redis that keeps what it acknowledged.
func Redis(t testing.TB) string {
	t.Helper()
	return needURL(t, "TEST_REDIS_URL")
}

// Postgres is the DSN of a database in which tests may create tables.
func Postgres(t testing.TB) string {
	t.Helper()
	return needURL(t, "TEST_POSTGRES_DSN")
}

// restarts are one at a time.
var restarts sync.Mutex

// Restart kills kafka, redis or postgres as a crash would, and returns when it answers again.
func Restart(t testing.TB, service string) {
	t.Helper()
	command := need(t, "TEST_"+strings.ToUpper(service)+"_RESTART")
	restarts.Lock()
	defer restarts.Unlock()
	if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil { //nolint:gosec // the command is the user's own
		t.Fatalf("restarting %s with %s: %v\n%s", service, command, err, out)
	}
}

func need(t testing.TB, name string) string {
	t.Helper()
	if value := os.Getenv(name); value != "" {
		return value
	}
	const how = `real services are brought up with: tests/services/services.sh up && eval "$(tests/services/services.sh env)"`
	if os.Getenv("TEST_SERVICES") == "required" {
		t.Fatalf("%s is not set, and TEST_SERVICES=required; %s", name, how)
	}
	note(t)
	t.Skipf("%s is not set; %s", name, how)
	return ""
}

// note adds a line to the file that TEST_SERVICES_WANTED names, if it does: the folder of
// the test's package, and its name. So CI knows what is left to be run with services.
func note(t testing.TB) {
	t.Helper()
	path := os.Getenv("TEST_SERVICES_WANTED")
	if path == "" {
		return
	}
	folder, err := os.Getwd()
	if err == nil {
		err = appendLine(path, folder+" "+t.Name())
	}
	if err != nil {
		t.Fatalf("noting that the test wants a service: %v", err)
	}
}

// appendLine writes it in one piece: tests of several packages write to the same file.
func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(line + "\n")
	return errors.Join(err, f.Close())
}

func needURL(t testing.TB, name string) string {
	t.Helper()
	value := need(t, name)
	u, err := url.Parse(value)
	if err != nil {
		t.Fatalf("%s is no URL", name) // it may hold a password
	}
	answers(t, name, u.Host)
	return value
}

// answers fails a test soon whose service was named and is gone. A test that
// runs at the same time may be restarting it.
func answers(t testing.TB, name, address string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s names a service that does not answer: %v", name, err)
		}
	}
}
