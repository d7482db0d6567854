package doors

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/program"
)

// probeListeners checks every socket that a process listens on: loopback only, and
// beside the HTTP server's address nothing that answers a question.
func probeListeners(t *testing.T, process *program.Process, address string) {
	t.Helper()
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		t.Log("no /proc here: its other sockets are not looked at")
		return
	}
	listeners := listeners(t, process.PID())
	assert.Contains(t, listeners, address)
	for _, l := range listeners {
		host, _, err := net.SplitHostPort(l)
		require.NoError(t, err)
		assert.True(t, net.ParseIP(host).IsLoopback(), "it listens on %s", l)
		if l == address {
			continue
		}
		for _, path := range known(nil) {
			status, body := get(t, l, path)
			assert.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, status, "%s%s", l, path)
			assert.NotContains(t, body, apiKey)
			assert.NotContains(t, body, webhookSecret)
		}
	}
}

// listeners are the addresses of a process's listening TCP sockets.
func listeners(t *testing.T, pid int) (addresses []string) {
	t.Helper()
	descriptors, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	require.NoError(t, err)
	var sockets []string
	for _, d := range descriptors {
		if target, err := os.Readlink(d); err == nil { // it may be closed by now
			sockets = append(sockets, target)
		}
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if os.IsNotExist(err) {
			continue // no IPv6 here
		}
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			const listening = "0A"
			if len(fields) > 9 && fields[3] == listening && slices.Contains(sockets, "socket:["+fields[9]+"]") {
				addresses = append(addresses, kernelAddress(t, fields[1]))
			}
		}
	}
	return addresses
}

// kernelAddress reads "0100007F:1063": words of the machine's byte order, here taken
// as little endian, and a port.
func kernelAddress(t *testing.T, text string) string {
	t.Helper()
	host, port, ok := strings.Cut(text, ":")
	require.True(t, ok, text)
	ip, err := hex.DecodeString(host)
	require.NoError(t, err)
	for word := range slices.Chunk(ip, 4) {
		slices.Reverse(word)
	}
	number, err := strconv.ParseUint(port, 16, 16)
	require.NoError(t, err)
	return net.JoinHostPort(net.IP(ip).String(), strconv.FormatUint(number, 10))
}
