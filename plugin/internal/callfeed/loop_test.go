package callfeed

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// counting is an API without calls that counts the listings, and a log.
type counting struct {
	pages int
	lines []string
}

func (c *counting) ListCallsPage(context.Context, happyrobot.ListCallsQuery) ([]happyrobot.Call, error) {
	c.pages++
	return nil, nil
}

func (c *counting) GetCall(context.Context, string) (happyrobot.Call, error) {
	return happyrobot.Call{}, nil
}

func (c *counting) Infof(format string, args ...any) { c.Warnf(format, args...) }
func (c *counting) Warnf(format string, args ...any) {
	c.lines = append(c.lines, fmt.Sprintf(format, args...))
}

func TestWithTooManyOpenCallsNoNewOnesAreListed(t *testing.T) {
	api, book := &counting{}, newBook(rules{}, time.Now())
	for n := range MaxWatched {
		key := fmt.Sprint(n)
		book.open[key] = &openCall{key: key}
	}
	var waited []string
	o := Options{
		Unit: CallUnit, API: Calls{API: api}, Log: api, Poll: time.Second, OnProgress: func(int, time.Duration) {},
		Wait: func() func(string) { return func(cause string) { waited = append(waited, cause) } },
	}
	f := &Feed{
		opts: o, book: book, notices: newNotices(&o), saver: newSaver(&o, book, nil),
	}
	defer f.notices.stop()
	for range 3 {
		more, wait := f.turn(t.Context())
		assert.False(t, more)
		assert.Equal(t, time.Second, wait)
	}
	assert.Zero(t, api.pages)
	assert.Equal(t, words.CauseBacklog, waited[0])
	assert.Equal(t, []string{"No new calls are listed (backlog) until some of the open ones are over: 100000 calls are open."}, api.lines)

	book.acknowledged(&Event{key: "0", Outcome: Expired}, time.Now())
	f.turn(t.Context())
	assert.Equal(t, 1, api.pages)
	assert.Equal(t, "New calls are listed again (backlog), after 0s.", api.lines[1])
}
