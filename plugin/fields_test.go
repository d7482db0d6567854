package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

type logLines struct {
	mu    sync.Mutex
	lines []string
}

func (l *logLines) add(format string, args []any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

func (l *logLines) Warnf(format string, args ...any) { l.add("WARN "+format, args) }
func (l *logLines) Infof(format string, args ...any) { l.add("INFO "+format, args) }

func TestRequestsThatFailAreReportedUntilTheyAreAnsweredOrTheComponentCloses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := clientConfig{paused: newPausedGauge(service.MockResources(), "happyrobot_call")}
		var log logLines
		client.logChanges(&log)

		getFailed, getEnded := client.options.OnRepeat("getCall")
		getFailed(&happyrobot.Error{Op: "getCall", Status: 500}, 0)
		listFailed, listEnded := client.options.OnRepeat("listCalls")
		listFailed(&happyrobot.Error{Op: "listCalls", Status: 503}, 0)
		getEnded(nil)
		time.Sleep(pause.Reminder + time.Second)
		synctest.Wait()
		listEnded(nil)
		assert.Equal(t, []string{
			"WARN API request failed; retrying (unanswered): getCall: status 500 Internal Server Error",
			"WARN API requests have been failing since 2000-01-01T00:00:00Z; retrying (unanswered): listCalls: status 503 Service Unavailable",
			"INFO API requests are answered again, after 5m1s.",
		}, log.lines)

		failed, ended := client.options.OnRepeat("getCall")
		failed(&happyrobot.Error{Op: "getCall", Status: 500}, 0)
		ended(errors.New("status 404"))
		time.Sleep(3 * pause.Reminder)
		synctest.Wait()
		assert.Len(t, log.lines, 4, "a request that gave up waits for nothing")

		failed, _ = client.options.OnRepeat("getCall")
		failed(&happyrobot.Error{Op: "getCall", Status: 500}, 0)
		client.close()
		time.Sleep(3 * pause.Reminder)
		synctest.Wait()
		assert.Len(t, log.lines, 5, "no timer outlives the component")
	})
}

func TestARateLimitThatFailsIsAskedAgainAndLetsNothingThrough(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		asked, failures := 0, 3
		res := service.MockResources(service.MockResourcesOptAddRateLimit("slow", func(context.Context) (time.Duration, error) {
			if asked++; asked <= failures {
				return 0, errors.New("away")
			}
			return 0, nil
		}))
		log := &logLines{}
		client := clientConfig{limit: &rateLimit{res: res, label: "slow"}, paused: newPausedGauge(res, "happyrobot_call")}
		client.reportWaits(log)
		wait := client.limit.wait

		began := time.Now()
		require.NoError(t, wait(t.Context()))
		assert.Equal(t, 3*rateLimitRetry, time.Since(began))
		assert.Equal(t, 4, asked)
		assert.Equal(t, []string{
			`WARN Requests to the API wait (rate_limited): rate limit "slow" cannot be asked: away`,
			"INFO Requests to the API no longer wait (rate_limited), after 3s.",
		}, log.lines)

		failures = 1000
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.ErrorIs(t, wait(ctx), context.DeadlineExceeded)
		client.close()
	})
}

func TestComponentsWithTheSameKeyFileShareAPool(t *testing.T) {
	t.Parallel()
	file := func(name string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte("k"), 0o600))
		return path
	}
	res := service.MockResources()
	pool := func(yaml string) http.RoundTripper {
		conf, err := service.NewConfigSpec().Fields(clientFields()...).ParseYAML(yaml, nil)
		require.NoError(t, err)
		client, err := clientFromParsed(conf, res, newPausedGauge(res, "happyrobot_call"))
		require.NoError(t, err)
		defer client.close()
		return client.options.Transport
	}
	one, other := "api_key_file: "+file("one"), "api_key_file: "+file("other")
	first, second := pool(one), pool(one)
	assert.Same(t, first, second)
	assert.NotSame(t, first, pool(other))
	assert.NotSame(t, first, pool("api_key: k"))
	assert.Same(t, pool("api_key: k\nbase_url: https://a.example/v1"), pool("api_key: k\nbase_url: https://a.example/v1/"))
	assert.NotSame(t, pool("api_key: k\nbase_url: https://a.example/v1"), pool("api_key: k\nbase_url: https://a.example/v2"))
}
