package upgrade

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/tests/services"
)

const redisFile = "testdata/redis.json"

// redisPrefix begins the keys of the old ledger.
const redisPrefix = "upgrade:"

// redisPlays are the configs that the old program ran on Redis: the second one sends a
// lead again whose call is not listed, and so has records of later attempts.
var redisPlays = []string{"json_id/US", "redial/US"}

// oldRedis is a ledger that the program before wrote to Redis with Connect's cache.
type oldRedis struct {
	Leads   []redisLead   `json:"leads"`
	Records []redisRecord `json:"records"`
}

// redisLead is a lead, and what the old program made of it.
type redisLead struct {
	Play    string          `json:"play"`
	Fails   int             `json:"fails,omitempty"` // how often the API failed
	Lead    json.RawMessage `json:"lead"`
	Outcome string          `json:"outcome"`
	CallID  string          `json:"call_id,omitempty"`
}

// redisRecord is a key as it was in Redis.
type redisRecord struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	TTL   int64  `json:"ttl_ms"`
}

// redisLeads are leads that are called, that stay in doubt, and that are called by a
// later attempt.
func redisLeads() (leads []redisLead) {
	for i, play := range redisPlays {
		for n := range 12 {
			lead := redisLead{Play: play, Lead: fmt.Appendf(nil, `{"id":"redis-%d-%d","name":"Zoë <&> O'Neil","phone":"(415) 555-01%02d"}`, i, n, n)}
			if n >= 10 {
				lead.Fails = 1
			}
			leads = append(leads, lead)
		}
	}
	return leads
}

// TestARedisLedgerOfTheLastVersionIsRead plays the leads of the old ledger again.
func TestARedisLedgerOfTheLastVersionIsRead(t *testing.T) {
	text, err := os.ReadFile(redisFile)
	require.NoError(t, err)
	var old oldRedis
	require.NoError(t, json.Unmarshal(text, &old))
	require.NotEmpty(t, old.Records)
	t.Run("in memory", func(t *testing.T) { replay(t, old, "redis://"+miniredis.RunT(t).Addr()) })
	t.Run("real", func(t *testing.T) { replay(t, old, services.Redis(t)) })
}

func replay(t *testing.T, old oldRedis, url string) {
	db, prefix := redisClient(t, url)
	for _, r := range old.Records {
		key := prefix + strings.TrimPrefix(r.Key, redisPrefix)
		require.NoError(t, db.Set(t.Context(), key, r.Value, time.Duration(r.TTL)*time.Millisecond).Err())
	}
	playAgain(t, old.Leads, url, prefix)
}

// playAgain sends leads that the old program sent: nobody is called twice.
func playAgain(t *testing.T, leads []redisLead, url, prefix string) {
	t.Helper()
	api := startAPI(t, "5ec0")
	for _, name := range redisPlays {
		s := startStreamOn(t, play{name: name}, api, fmt.Sprintf("redis: {url: %q, prefix: %q}", url, prefix))
		var batch []numbered
		for n, lead := range leads {
			if lead.Play == name && lead.Outcome != "held" {
				batch = append(batch, numbered{n, lead.Lead})
			}
		}
		s.deliver(batch...)
		for n, lead := range leads {
			if lead.Play == name && lead.Outcome == "held" {
				s.deliver(numbered{n, lead.Lead})
			}
		}
		s.stop()
		for n, lead := range leads {
			switch now := s.fates[n]; {
			case lead.Play != name:
			case lead.Outcome == "held":
				assert.Equal(t, "held", now.outcome, "%s %s: %v", name, lead.Lead, now.err)
			default:
				assert.Equal(t, "duplicate", now.outcome, "%s %s: %v", name, lead.Lead, now.err)
				assert.Equal(t, lead.CallID, now.callID, "%s %s", name, lead.Lead)
			}
		}
	}
	assert.Empty(t, api.placed())
}

// oldProgram is the program before: commit 1b1fb5f, whose Redis cache is Connect's.
//
//	git worktree add /tmp/before 1b1fb5f
//	(cd /tmp/before && go build -o /tmp/benthos-happyrobot-before ./cmd/benthos-happyrobot)
//	UPGRADE_OLD_PROGRAM=/tmp/benthos-happyrobot-before go test -count 1 -run Redis ./tests/upgrade
//
// With UPDATE_UPGRADE_REDIS=1 as well, testdata/redis.json is written anew.
func oldProgram(t *testing.T) string {
	t.Helper()
	path := os.Getenv("UPGRADE_OLD_PROGRAM")
	if path == "" {
		t.Skip("UPGRADE_OLD_PROGRAM is not set; see oldProgram")
	}
	return path
}

// TestRedisLedgersAreReadByBothVersions lets the programs follow each other, as in an
// upgrade and in a way back.
func TestRedisLedgersAreReadByBothVersions(t *testing.T) {
	program := oldProgram(t)
	url := "redis://" + miniredis.RunT(t).Addr()
	if os.Getenv("TEST_REDIS_URL") != "" {
		url = services.Redis(t)
	}
	_, prefix := redisClient(t, url)

	api := startAPI(t, "01d0")
	leads := runOld(t, program, api, redisLeads(), url, prefix)
	playAgain(t, leads, url, prefix)

	api = startAPI(t, "5ec1")
	now := slices.Clone(leads)
	for n, lead := range now {
		now[n].Lead = bytes.Replace(lead.Lead, []byte("redis-"), []byte("back-"), 1)
		s := startStreamOn(t, play{name: lead.Play}, api, fmt.Sprintf("redis: {url: %q, prefix: %q}", url, prefix))
		api.failNext(lead.Fails)
		s.deliver(numbered{n, now[n].Lead})
		s.stop()
		now[n].Outcome, now[n].CallID = s.fates[n].outcome, s.fates[n].callID
	}
	placed := len(api.placed())
	require.NotZero(t, placed)
	for n := range now {
		now[n].Fails = 0
	}
	for n, was := range runOld(t, program, api, now, url, prefix) {
		if now[n].Outcome == "held" {
			assert.Equal(t, "held", was.Outcome, string(was.Lead))
			continue
		}
		assert.Equal(t, "duplicate", was.Outcome, string(was.Lead))
		assert.Equal(t, now[n].CallID, was.CallID, string(was.Lead))
	}
	assert.Len(t, api.placed(), placed)
}

// TestWriteOldRedisLedger writes testdata/redis.json.
func TestWriteOldRedisLedger(t *testing.T) {
	program := oldProgram(t)
	if os.Getenv("UPDATE_UPGRADE_REDIS") == "" {
		t.Skip("UPDATE_UPGRADE_REDIS is not set; see oldProgram")
	}
	m := miniredis.RunT(t)
	old := oldRedis{Leads: runOld(t, program, startAPI(t, "01d0"), redisLeads(), "redis://"+m.Addr(), redisPrefix)}
	for _, key := range m.Keys() {
		value, err := m.Get(key)
		require.NoError(t, err)
		old.Records = append(old.Records, redisRecord{Key: key, Value: value, TTL: m.TTL(key).Milliseconds()})
	}
	text, err := json.MarshalIndent(old, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(redisFile, append(text, '\n'), 0o600))
}

// runOld sends leads through the old program, one after the other, and returns them with
// what became of them.
func runOld(t *testing.T, program string, api *anyAPI, leads []redisLead, url, prefix string) []redisLead {
	t.Helper()
	leads = slices.Clone(leads)
	for n, lead := range leads {
		p := play{name: lead.Play}
		dial, err := os.ReadFile("testdata/" + p.config() + ".yaml")
		require.NoError(t, err)
		config := filepath.Join(t.TempDir(), "config.yaml")
		require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
http: {enabled: false}
logger: {level: "OFF"}
input: {stdin: {}}
pipeline:
  processors:
    -%s
    - mapping: |
        root.outcome = @happyrobot_outcome
        root.call_id = @happyrobot_call_id | ""
output: {stdout: {}}
cache_resources: [{label: ledger, redis: {url: %q, prefix: %q}}]
`, strings.ReplaceAll("\n"+strings.TrimSpace(string(dial)), "\n", "\n      "), url, prefix), 0o600))
		api.failNext(lead.Fails)
		run := exec.CommandContext(t.Context(), program, "run", config)
		run.Env = append(os.Environ(), "API_URL="+api.URL, "REGION="+p.region())
		run.Stdin = bytes.NewReader(append(slices.Clone(lead.Lead), '\n'))
		out, err := run.Output()
		require.NoError(t, err, string(out))
		var became struct {
			Outcome string `json:"outcome"`
			CallID  string `json:"call_id"`
		}
		require.NoError(t, json.Unmarshal(bytes.TrimSpace(out), &became), string(out))
		leads[n].Outcome, leads[n].CallID = became.Outcome, became.CallID
	}
	return leads
}

// redisClient is a client, and a prefix for keys that are deleted in the end.
func redisClient(t *testing.T, url string) (db *goredis.Client, prefix string) {
	t.Helper()
	o, err := goredis.ParseURL(url)
	require.NoError(t, err)
	db, prefix = goredis.NewClient(o), fmt.Sprintf("upgrade-%d:", time.Now().UnixNano())
	t.Cleanup(func() {
		for keys := db.Scan(context.Background(), 0, prefix+"*", 1000).Iterator(); keys.Next(context.Background()); {
			db.Del(context.Background(), keys.Val())
		}
		_ = db.Close()
	})
	return db, prefix
}
