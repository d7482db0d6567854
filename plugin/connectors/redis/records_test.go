package redis_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
)

func TestItemsAreKeptAsPlainStrings(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	c := openCache(t, urlOf(m.Addr()), "prefix: 'p:'", "default_ttl: 90s")
	minute, half, never := time.Minute, 1500*time.Millisecond, time.Duration(0)
	for _, item := range []struct {
		key, value string
		ttl        *time.Duration
		kept       time.Duration // 0: until it is deleted
	}{
		{"by default", "v", nil, 90 * time.Second},
		{"a minute", "v", &minute, time.Minute},
		{"not whole seconds", "v", &half, half},
		{"for ever", "v", &never, 0},
		{"empty", "", nil, 90 * time.Second},
		{"", "without a key", nil, 90 * time.Second},
		{"\x00\xff\r\n", "\x00\xff\r\n", nil, 90 * time.Second},
	} {
		t.Run(item.key, func(t *testing.T) {
			stored := func() {
				t.Helper()
				value, err := m.Get("p:" + item.key)
				require.NoError(t, err)
				assert.Equal(t, item.value, value)
				assert.Equal(t, item.kept, m.TTL("p:"+item.key))
				read, err := c.Get(t.Context(), item.key)
				require.NoError(t, err)
				assert.Equal(t, item.value, string(read))
			}
			require.NoError(t, c.Add(t.Context(), item.key, []byte(item.value), item.ttl))
			stored()
			require.ErrorIs(t, c.Add(t.Context(), item.key, []byte("other"), item.ttl), service.ErrKeyAlreadyExists)
			stored()
			require.NoError(t, c.Delete(t.Context(), item.key))
			_, err := c.Get(t.Context(), item.key)
			require.ErrorIs(t, err, service.ErrKeyNotFound)
			require.NoError(t, c.Set(t.Context(), item.key, []byte(item.value), item.ttl))
			stored()
		})
	}
	assert.NoError(t, c.Delete(t.Context(), "absent"))
}

func TestABatchIsOneRoundTrip(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	w := startWire(t, m.Addr())
	c := openCache(t, urlOf(w.address))
	batch := c.facts(t).Batcher
	require.NoError(t, m.Set("key-3", "another's"))

	before := w.requests.Load()
	answers := batch.AddAll(t.Context(), items(20))
	assert.Equal(t, int64(1), w.requests.Load()-before)
	for i, err := range answers {
		if i == 3 {
			assert.Equal(t, store.ErrExists, err)
			continue
		}
		require.NoError(t, err)
	}
	value, err := m.Get("key-19")
	require.NoError(t, err)
	assert.Equal(t, "value-19", value)

	before = w.requests.Load()
	require.NoError(t, batch.SetAll(t.Context(), items(20)))
	assert.Equal(t, int64(1), w.requests.Load()-before)
	value, err = m.Get("key-3")
	require.NoError(t, err)
	assert.Equal(t, "value-3", value)
	assert.Empty(t, batch.AddAll(t.Context(), nil))
	assert.NoError(t, batch.SetAll(t.Context(), nil))
}

// The command was executed and its answer was lost. Whether it is repeated and reads as
// "exists" is the difference between a lead that is called and one that is dropped.
func TestAddIsExactAfterALostAnswer(t *testing.T) {
	t.Parallel()
	hour := time.Hour
	for name, test := range map[string]struct {
		ttl  *time.Duration
		lost func(w *wire)
		// then another writer writes, unless the value is empty
		value   string
		written time.Duration // its TTL
		want    error
	}{
		"ours":                      {ttl: &hour, lost: answerLost},
		"ours, without TTL":         {lost: answerLost},
		"it never came to Redis":    {ttl: &hour, lost: requestLost},
		"another's":                 {&hour, requestLost, "another's", hour, service.ErrKeyAlreadyExists},
		"equal, and written before": {&hour, requestLost, "mine", hour - time.Minute, service.ErrKeyAlreadyExists},
		"equal, kept for longer":    {&hour, requestLost, "mine", 2 * hour, service.ErrKeyAlreadyExists},
		"equal, kept for ever":      {&hour, requestLost, "mine", 0, service.ErrKeyAlreadyExists},
		"equal, with a TTL":         {nil, requestLost, "mine", hour, service.ErrKeyAlreadyExists},
	} {
		t.Run(name, func(t *testing.T) {
			m := startRedis(t)
			w := startWire(t, m.Addr())
			w.onLost = func() {
				if test.value != "" {
					if err := m.Set("key", test.value); err != nil {
						t.Error(err)
					}
					m.SetTTL("key", test.written)
				}
			}
			c := openCache(t, urlOf(w.address))
			_, err := c.Get(t.Context(), "connect")
			require.ErrorIs(t, err, service.ErrKeyNotFound)

			test.lost(w)
			require.ErrorIs(t, c.Add(t.Context(), "key", []byte("mine"), test.ttl), test.want)
			assert.Equal(t, int64(1), w.lost.Load())
		})
	}
}

func answerLost(w *wire)  { w.loseAnswer.Store(true) }
func requestLost(w *wire) { w.loseRequest.Store(true) }

func TestWithoutALostAnswerAnEqualValueIsAnothers(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	c := openCache(t, urlOf(m.Addr()))
	require.NoError(t, c.Add(t.Context(), "key", []byte("seen"), nil))
	assert.ErrorIs(t, c.Add(t.Context(), "key", []byte("seen"), nil), service.ErrKeyAlreadyExists)
}

func TestABatchIsExactAfterALostAnswer(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	w := startWire(t, m.Addr())
	c := openCache(t, urlOf(w.address))
	batch := c.facts(t).Batcher
	require.NoError(t, m.Set("key-1", "another's"))
	w.loseAnswer.Store(true)
	assert.Equal(t, []error{nil, store.ErrExists, nil}, batch.AddAll(t.Context(), items(3)))
	assert.Equal(t, int64(1), w.lost.Load())
}

// The key was deleted and its answer lost. Another writer may have added it since: a ledger
// that gives a claim up must not take away the claim that another process took after it.
func TestADeleteWhoseAnswerIsLostIsNotRepeated(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	w := startWire(t, m.Addr())
	w.onLost = func() {
		if err := m.Set("key", "another's"); err != nil {
			t.Error(err)
		}
	}
	c := openCache(t, urlOf(w.address))
	require.NoError(t, c.Set(t.Context(), "key", []byte("mine"), nil))

	answerLost(w)
	require.ErrorContains(t, c.Delete(t.Context(), "key"), "Redis closed the connection")
	assert.Equal(t, int64(1), w.lost.Load())
	value, err := m.Get("key")
	require.NoError(t, err)
	assert.Equal(t, "another's", value)
	require.NoError(t, c.Delete(t.Context(), "key"))
	assert.False(t, m.Exists("key"))
}

func TestOperationsResumeWithRedis(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	c := openCache(t, urlOf(m.Addr()), impatient)
	require.NoError(t, c.Set(t.Context(), "key", []byte("value"), nil))
	m.Close()
	_, err := c.Get(t.Context(), "key")
	require.ErrorContains(t, err, "no Redis listens at this address")
	restart(t, m)
	value, err := c.Get(t.Context(), "key")
	require.NoError(t, err)
	assert.Equal(t, "value", string(value))
}

func TestOperationsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // it takes connections, and answers nothing
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	c := openCache(t, urlOf(silent.Addr().String()))
	const prompt, answered = 2500 * time.Millisecond, 5 * time.Second // an answer may take 3s, and a busy machine some time
	for name, test := range map[string]struct {
		do     func(context.Context) error
		within time.Duration
	}{
		"get":   {func(ctx context.Context) error { _, err := c.Get(ctx, "key"); return err }, prompt},
		"facts": {func(ctx context.Context) error { _, err := c.Get(ctx, store.FactsKey); return err }, prompt},
		// What is said of a write must be true, so it waits for its answer. Until that is
		// lost: see TestAWriteIsAnsweredTruthfullyAfterItsContextEnded.
		"set":    {func(ctx context.Context) error { return c.Set(ctx, "key", nil, nil) }, answered},
		"add":    {func(ctx context.Context) error { return c.Add(ctx, "key", nil, nil) }, answered},
		"delete": {func(ctx context.Context) error { return c.Delete(ctx, "key") }, answered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			began := time.Now()
			err := test.do(ctx)
			require.Error(t, err)
			if name != "delete" { // of which it says that its answer was lost
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			assert.Less(t, time.Since(began), test.within)
		})
	}
}

// Redis takes its time over a write whose context ends meanwhile. A claim that is called
// lost and lands afterwards holds a lead that nobody has dialed.
func TestAWriteIsAnsweredTruthfullyAfterItsContextEnded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		command string
		do      func(context.Context, opened) error
		is      string // what is kept under the key then, "" for nothing
	}{
		"add":    {"SET", func(ctx context.Context, c opened) error { return c.Add(ctx, "key", []byte("mine"), new(time.Hour)) }, "mine"},
		"set":    {"SET", func(ctx context.Context, c opened) error { return c.Set(ctx, "key", []byte("mine"), new(time.Hour)) }, "mine"},
		"delete": {"DEL", func(ctx context.Context, c opened) error { return c.Delete(ctx, "key") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := startRedis(t)
			c := openCache(t, urlOf(m.Addr()))
			_, err := c.Get(t.Context(), "connect")
			require.ErrorIs(t, err, service.ErrKeyNotFound)
			if name == "delete" {
				require.NoError(t, m.Set("key", "mine"))
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			cameIn, goesOn := hold(m, test.command)
			answered := make(chan error, 1)
			go func() { answered <- test.do(ctx, c) }()
			<-cameIn
			cancel()
			assert.Never(t, func() bool { return len(answered) > 0 }, 50*time.Millisecond, 5*time.Millisecond)
			close(goesOn)
			require.NoError(t, <-answered)
			value, _ := m.Get("key")
			assert.Equal(t, test.is, value)
		})
	}
}

// The context ends while the connection for a write is made: it is not sent.
func TestAWriteWhoseContextEndedIsNotBegun(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	c := openCache(t, urlOf(m.Addr()))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cameIn, goesOn := hold(m, "HELLO")
	answered := make(chan error, 1)
	go func() { answered <- c.Add(ctx, "key", []byte("mine"), nil) }()
	<-cameIn
	cancel()
	close(goesOn)
	require.ErrorIs(t, <-answered, context.Canceled)
	assert.False(t, m.Exists("key"))
}

func TestAClosedCacheFailsAtOnce(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	c := openCache(t, urlOf(silent.Addr().String()))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = c.Get(ctx, "key") // which continues to wait for its answer
	require.ErrorIs(t, err, context.DeadlineExceeded)
	began := time.Now()
	c.close()
	assert.Less(t, time.Since(began), 2500*time.Millisecond)
	require.ErrorContains(t, c.Set(t.Context(), "key", nil, nil), "closed")
	assert.NoError(t, c.Close(t.Context()), "twice")
}

// Another database is another ledger. Of several URLs the last one counts, and the first
// one is connected to: it was so with Connect.
func TestTheURLNamesServerDatabaseAndPassword(t *testing.T) {
	t.Parallel()
	m := startRedis(t)
	m.RequireUserAuth("me", "a/b c")
	for url, db := range map[string]int{
		"redis://me:a%2Fb%20c@" + m.Addr():                                             0,
		"redis://me:a%2Fb%20c@" + m.Addr() + "/3":                                      3,
		"tcp://me:a%2Fb%20c@" + m.Addr() + "/4":                                        4,
		"redis://" + m.Addr() + "/5, redis://me:a%2Fb%20c@redis.invalid:6379/6":        6,
		"redis://me:a%2Fb%20c@" + m.Addr() + "/5,redis://me:a%2Fb%20c@redis.invalid/0": 0,
	} {
		c := openCache(t, `url: "`+url+`"`)
		require.NoError(t, c.Set(t.Context(), url, []byte("value"), nil))
		value, err := m.DB(db).Get(url)
		require.NoError(t, err, url)
		assert.Equal(t, "value", value)
	}
}
