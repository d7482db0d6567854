package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
)

// retryAfter is what senders are asked to wait, in seconds.
const retryAfter = "5"

// Options say which requests are events.
type Options struct {
	Path         string
	Secrets      []string // any of them lets an event in
	SecretHeader string
	Timeout      time.Duration // how long a sender waits for the pipeline
	MaxBody      int           // bytes
	MaxInFlight  int           // events that wait for the pipeline

	// OnResult is called for each request, before it is answered.
	OnResult func(Result)
}

// Handler turns requests into events. Whoever does not know a secret is turned away
// before anything of the body is read.
type Handler struct {
	o       Options
	secrets [][sha256.Size]byte
	slots   chan struct{}
	events  *Deliveries
}

// NewHandler makes the handler of the requests whose events enter by deliveries.
func NewHandler(o Options, events *Deliveries) *Handler {
	h := &Handler{o: o, slots: make(chan struct{}, o.MaxInFlight), events: events}
	for _, secret := range o.Secrets {
		h.secrets = append(h.secrets, sha256.Sum256([]byte(secret)))
	}
	return h
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	result := h.result(w, req)
	h.o.OnResult(result)
	a := answers[result]
	switch {
	case a.status == http.StatusOK:
		w.WriteHeader(a.status)
		return
	case a.status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", retryAfter)
	case result == WrongMethod:
		w.Header().Set("Allow", http.MethodPost)
		fallthrough
	default:
		w.Header().Set("Connection", "close") // and do not read the rest of the body
	}
	http.Error(w, a.text, a.status)
}

func (h *Handler) result(w http.ResponseWriter, req *http.Request) Result {
	switch {
	case req.URL.Path != h.o.Path:
		return WrongPath
	case req.Method != http.MethodPost:
		return WrongMethod
	case !h.knows(req.Header.Get(h.o.SecretHeader)):
		return Stranger
	case req.ContentLength > int64(h.o.MaxBody):
		return TooLarge
	case h.events.Stopped():
		return Stopping
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return Busy
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, int64(h.o.MaxBody)))
	if err != nil {
		return unreadBody(err)
	}
	// The time to read ends here: a deadline that passed later would end the
	// request's context, and look like a sender that left.
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
		return Cut
	}
	event, err := happyrobot.ParseEvent(body)
	switch {
	case errors.Is(err, happyrobot.ErrNoJSON):
		return NoJSON
	case err != nil:
		return NoEvent
	}
	ctx, cancel := context.WithTimeout(req.Context(), h.o.Timeout)
	defer cancel()
	return h.events.Take(ctx, event)
}

func unreadBody(err error) Result {
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return TooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Slow
	}
	return Cut
}

// knows compares digests with all secrets: the time it takes reveals neither how much of
// a guess is right, nor how long a secret is, nor which of them it was.
func (h *Handler) knows(shown string) bool {
	sum, known := sha256.Sum256([]byte(shown)), 0
	for _, secret := range h.secrets {
		known |= subtle.ConstantTimeCompare(sum[:], secret[:])
	}
	return known == 1
}
