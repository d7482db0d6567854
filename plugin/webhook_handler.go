package plugin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// answer is how a request ends: a label of the metric, a status, and a few words.
type answer struct {
	result string
	status int
	text   string
}

// Answers. Their results are all the labels that the metric has.
var (
	answerTaken    = answer{"taken", http.StatusOK, ""}
	answerKnown    = answer{"known", http.StatusOK, ""}
	answerFailed   = answer{"failed", http.StatusServiceUnavailable, "not taken"}
	answerLate     = answer{"late", http.StatusServiceUnavailable, "not taken in time"}
	answerBusy     = answer{"busy", http.StatusServiceUnavailable, "too many events at once"}
	answerNoCache  = answer{"cache_failed", http.StatusServiceUnavailable, "not taken"}
	answerStopping = answer{"stopping", http.StatusServiceUnavailable, "stopping"}

	answerWrongPath   = answer{"wrong_path", http.StatusNotFound, "not found"}
	answerWrongMethod = answer{"wrong_method", http.StatusMethodNotAllowed, "only POST"}
	answerStranger    = answer{"stranger", http.StatusUnauthorized, "unauthorized"}
	answerTooLarge    = answer{"too_large", http.StatusRequestEntityTooLarge, "too large"}
	answerSlow        = answer{"slow", http.StatusRequestTimeout, "too slow"}
	answerCut         = answer{"cut", http.StatusBadRequest, "cut short"}
	answerNoJSON      = answer{"no_json", http.StatusBadRequest, happyrobot.ErrNoJSON.Error()}
	answerNoEvent     = answer{"no_event", http.StatusBadRequest, happyrobot.ErrNoEvent.Error()}
)

// retryAfter is what senders are asked to wait, in seconds.
const retryAfter = "5"

// webhookHandler turns requests into events. Whoever does not know the secret is
// turned away before anything of the body is read.
type webhookHandler struct {
	path         string
	secret       string
	secretHeader string
	timeout      time.Duration
	maxBody      int
	maxInFlight  int

	secretSum [sha256.Size]byte
	slots     chan struct{}
	events    deliveries
	requests  *service.MetricCounter
}

func (h *webhookHandler) init(res *service.Resources) {
	h.secretSum = sha256.Sum256([]byte(h.secret))
	h.slots = make(chan struct{}, h.maxInFlight)
	h.requests = res.Metrics().NewCounter(words.MetricWebhookRequests, "result")
	s := &h.events
	s.res, s.scope, s.timeout, s.texts = res, h.path, h.timeout, newTranscriptTexts(res, "content.messages")
	s.queue, s.running = make(chan *delivery), map[string]*delivery{}
	s.stopping, s.gone = make(chan struct{}), make(chan struct{})
}

// ServeHTTP answers a request.
func (h *webhookHandler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	a := h.answer(w, req)
	h.requests.Incr(1, a.result)
	switch {
	case a.status == http.StatusOK:
		w.WriteHeader(a.status)
		return
	case a.status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	case a == answerWrongMethod:
		w.Header().Set("Allow", http.MethodPost)
		fallthrough
	default:
		w.Header().Set("Connection", "close") // and read nothing more of it
	}
	http.Error(w, a.text, a.status)
}

func (h *webhookHandler) answer(w http.ResponseWriter, req *http.Request) answer {
	switch {
	case req.URL.Path != h.path:
		return answerWrongPath
	case req.Method != http.MethodPost:
		return answerWrongMethod
	case !h.knows(req.Header.Get(h.secretHeader)):
		return answerStranger
	case req.ContentLength > int64(h.maxBody):
		return answerTooLarge
	}
	select {
	case <-h.events.stopping:
		return answerStopping
	default:
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return answerBusy
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, int64(h.maxBody)))
	if err != nil {
		return unreadBody(err)
	}
	// The time to read ends here: a deadline that passed later would end the
	// request's context, and look like a sender that went.
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
		return answerCut
	}
	event, err := happyrobot.ParseEvent(body)
	switch {
	case errors.Is(err, happyrobot.ErrNoJSON):
		return answerNoJSON
	case err != nil:
		return answerNoEvent
	}
	ctx, cancel := context.WithTimeout(req.Context(), h.timeout)
	defer cancel()
	return h.events.take(ctx, event)
}

func unreadBody(err error) answer {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return answerTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return answerSlow
	}
	return answerCut
}

// knows compares digests: the time that it takes tells neither how much of a
// guess is right, nor how long the secret is.
func (h *webhookHandler) knows(shown string) bool {
	sum := sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(sum[:], h.secretSum[:]) == 1
}
