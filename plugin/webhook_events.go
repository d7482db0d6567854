package plugin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/tidwall/gjson"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// eventMessage makes the message of an event. The status of a hook's call is in the
// documented spelling; those of a CloudEvent are the platform's words.
func (s *deliveries) eventMessage(e happyrobot.Event) *service.Message {
	status := e.Status
	if e.Kind == happyrobot.CallHook {
		status = string(happyrobot.Status(status).Canonical())
	}
	msg := service.NewMessage(s.withTranscript(e))
	for name, value := range map[string]string{
		words.MetaEventKind: string(e.Kind), words.MetaEventType: e.Type, words.MetaEventID: e.ID, words.MetaCallStatus: status, words.MetaPreviousStatus: e.Previous,
		words.MetaCallID: e.CallID, words.MetaRunID: e.RunID, words.MetaSessionID: e.SessionID,
	} {
		if value != "" {
			msg.MetaSetMut(name, value)
		}
	}
	return msg
}

// withTranscript is an event as it came, with `transcript` as its last member where it
// carries the talk and has no such member of its own. The messages are not repeated
// there: they stay in content, and whoever drops content has dropped the prompts.
func (s *deliveries) withTranscript(e happyrobot.Event) []byte {
	if e.Transcript == nil || gjson.GetBytes(e.Raw, partTranscript).Exists() {
		return e.Raw
	}
	object := map[string]any{"call_id": e.CallID}
	s.texts.add(object, *e.Transcript)
	added, err := json.Marshal(object)
	end := bytes.LastIndexByte(e.Raw, '}')
	if err != nil || end < 0 {
		return e.Raw
	}
	whole := append(make([]byte, 0, len(e.Raw)+len(added)+20), e.Raw[:end]...)
	whole = append(append(whole, `,"`+partTranscript+`":`...), added...)
	return append(whole, e.Raw[end:]...)
}

// delivery is one event on its way through the pipeline. It lives until the
// pipeline says what became of it, even if nobody waits for the answer any more.
type delivery struct {
	key     string
	event   happyrobot.Event
	decided chan struct{}
	verdict answer // once decided
}

// deliveries lets each event enter the pipeline once.
type deliveries struct {
	res          *service.Resources
	cache        string // label, "" for none
	scope        string // events of other scopes are others
	timeout      time.Duration
	texts        *transcriptTexts
	cacheFailing atomic.Bool

	queue    chan *delivery
	stopping chan struct{} // no event is taken any more
	gone     chan struct{} // no verdict comes any more
	stopOnce sync.Once
	goneOnce sync.Once

	mu      sync.Mutex
	running map[string]*delivery
}

// take brings an event into the pipeline and tells what became of it. Until ctx
// ends, that is.
func (s *deliveries) take(ctx context.Context, event happyrobot.Event) answer {
	d, first := s.join(event)
	if first {
		s.enter(ctx, d)
	}
	select {
	case <-d.decided:
	case <-ctx.Done():
	case <-s.gone:
	}
	select {
	case <-d.decided: // counts, whatever else happened at the same time
		if d.verdict.result == answerTaken.result && !first {
			return answerKnown
		}
		return d.verdict
	default:
	}
	if ctx.Err() != nil {
		return answerLate
	}
	return answerStopping
}

// join finds the delivery of the same event, or begins one.
func (s *deliveries) join(event happyrobot.Event) (d *delivery, first bool) {
	sum := sha256.Sum256([]byte(strings.Join([]string{s.scope, string(event.Kind), event.Source, event.ID}, "\x00")))
	key := "happyrobot_webhook/1/" + hex.EncodeToString(sum[:16])
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.running[key]; d != nil {
		return d, false
	}
	d = &delivery{key: key, event: event, decided: make(chan struct{})}
	s.running[key] = d
	return d, true
}

// enter puts an event that was not taken before into the pipeline.
func (s *deliveries) enter(ctx context.Context, d *delivery) {
	known, err := s.known(ctx, d.key)
	switch {
	case ctx.Err() != nil:
		s.decide(d, answerLate)
	case err != nil:
		s.decide(d, answerNoCache)
	case known:
		s.decide(d, answerKnown)
	default:
		select {
		case s.queue <- d:
		case <-ctx.Done():
			s.decide(d, answerLate)
		case <-s.stopping:
			s.decide(d, answerStopping)
		}
	}
}

// settle takes the pipeline's verdict. An event is remembered only when it was
// taken: one that failed has to be good for another try.
func (s *deliveries) settle(ctx context.Context, d *delivery, err error) {
	if err != nil {
		s.decide(d, answerFailed)
		return
	}
	s.remember(ctx, d.key)
	s.decide(d, answerTaken)
}

func (s *deliveries) decide(d *delivery, verdict answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[d.key] != d {
		return // an acknowledgement may come twice
	}
	delete(s.running, d.key)
	d.verdict = verdict
	close(d.decided)
}

// stop refuses events from now on; abandon also those whose verdict is not in.
func (s *deliveries) stop() { s.stopOnce.Do(func() { close(s.stopping) }) }

func (s *deliveries) abandon() {
	s.stop()
	s.goneOnce.Do(func() { close(s.gone) })
}

func (s *deliveries) known(ctx context.Context, key string) (bool, error) {
	if s.cache == "" {
		return false, nil
	}
	err := s.access(ctx, func(c service.Cache) error {
		_, err := c.Get(ctx, key)
		return err
	})
	if errors.Is(err, service.ErrKeyNotFound) {
		err = nil
		s.noteCache(ctx, err)
		return false, nil
	}
	s.noteCache(ctx, err)
	return err == nil, err
}

func (s *deliveries) remember(ctx context.Context, key string) {
	if s.cache == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	s.noteCache(ctx, s.access(ctx, func(c service.Cache) error {
		return c.Set(ctx, key, []byte(time.Now().UTC().Format(time.RFC3339)), nil)
	}))
}

func (s *deliveries) access(ctx context.Context, use func(service.Cache) error) (err error) {
	if aerr := s.res.AccessCache(ctx, s.cache, func(c service.Cache) { err = use(c) }); aerr != nil {
		return aerr
	}
	return err
}

func (s *deliveries) noteCache(ctx context.Context, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return // the sender or the pipeline went
	}
	if failing := err != nil; s.cacheFailing.Swap(failing) != failing {
		if failing {
			s.res.Logger().Warnf("The cache of event ids fails; events are answered with 503 until it can be asked, and may pass twice: %v", err)
		} else {
			s.res.Logger().Info("The cache of event ids answers again.")
		}
	}
}
