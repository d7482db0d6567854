package callfeed_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/callfeed"
)

// parts is Options.Parts of an API whose transcripts take their time.
type parts struct {
	ready time.Time
	err   error
	asked int
}

func (p *parts) read(_ context.Context, c callfeed.Item) (any, bool, error) {
	p.asked++
	if p.err != nil {
		return map[string]any{"id": c.ID}, false, p.err
	}
	return map[string]any{"id": c.ID}, !time.Now().Before(p.ready), nil
}

func TestATranscriptIsWaitedForButNotForEver(t *testing.T) {
	for name, tc := range map[string]struct {
		parts   *parts
		outcome string
		after   time.Duration
		logs    int
	}{
		"it comes":      {&parts{ready: time.Now()}, callfeed.Complete, 0, 0},
		"it comes late": {&parts{}, callfeed.Complete, 10 * time.Minute, 0},
		"it never does": {&parts{}, callfeed.NotReady, 30 * time.Minute, 0},
		"it is refused": {&parts{err: errors.New("status 500")}, callfeed.NotReady, 30 * time.Minute, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &logbook{}
				began := time.Now()
				tc.parts.ready = began.Add(tc.after)
				if tc.outcome == callfeed.NotReady {
					tc.parts.ready = began.Add(time.Hour * 1000)
				}
				api := &scripted{calls: []object{made(0, began, "Completed")}}
				o := options(api, &disk{}, log)
				o.Parts = tc.parts.read
				got, _ := follow(t, o)
				if tc.after > 0 {
					time.Sleep(tc.after - time.Second)
					assert.Empty(t, got.ids(), "it is waited for")
				}
				time.Sleep(time.Second + max(tc.after/3, time.Minute))
				require.Equal(t, ids(0, 1), got.ids())
				assert.Equal(t, tc.outcome, got.all()[0].Outcome)
				assert.Equal(t, map[string]any{"id": callID(0)}, got.all()[0].Content)
				assert.LessOrEqual(t, tc.parts.asked, 20, "with growing pauses")
				assert.Equal(t, tc.logs, logged(log, "Cannot read the transcript or other parts of call"))
				if tc.logs == 0 {
					assert.Empty(t, log.all())
				}
			})
		})
	}
}

func TestTheWaitForATranscriptOutlivesARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, never := &disk{}, &parts{ready: time.Now().Add(math.MaxInt64)}
		api := &scripted{calls: []object{made(0, time.Now(), "Completed")}}
		o := options(api, store, &logbook{})
		o.Parts = never.read
		_, stop := follow(t, o)
		time.Sleep(20 * time.Minute)
		stop()
		got, _ := follow(t, o)
		time.Sleep(11 * time.Minute)
		assert.Equal(t, ids(0, 1), got.ids())
	})
}
