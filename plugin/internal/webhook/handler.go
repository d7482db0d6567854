package webhook

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
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
	RunIDPath    string        // where a callback has the id of its run, see happyrobot.ParseCallback; empty takes no callbacks

	// OnResult is called for each request, before it is answered.
	OnResult func(Result)
	// Log is told of requests without a right secret, at a bounded rate.
	Log pause.Logger
}

// Handler turns requests into events. Whoever does not know a secret is turned away
// before anything of the body is read.
type Handler struct {
	o       Options
	secrets [][sha256.Size]byte
	slots   chan struct{}
	events  *Deliveries

	missing, wrong *pause.Tally // of secrets
	unfilled       sync.Once    // the warning of a run id that a workflow did not fill in
}

// NewHandler makes the handler of the requests whose events enter by deliveries. Whoever
// makes one calls Stop at the end.
func NewHandler(o Options, events *Deliveries) *Handler {
	h := &Handler{o: o, slots: make(chan struct{}, o.MaxInFlight), events: events}
	h.missing = pause.NewTally(o.Log,
		"A request was refused (401): it has no header "+o.SecretHeader+", which must carry the secret.",
		"Refused %d more requests without the header "+o.SecretHeader+" (401) in the last %s.")
	h.wrong = pause.NewTally(o.Log,
		"A request was refused (401): the secret in its header "+o.SecretHeader+" is not the right one.",
		"Refused %d more requests with a wrong secret in the header "+o.SecretHeader+" (401) in the last %s.")
	for _, secret := range o.Secrets {
		h.secrets = append(h.secrets, sha256.Sum256([]byte(secret)))
	}
	return h
}

// Stop ends what the handler reports by itself.
func (h *Handler) Stop() {
	h.missing.Stop()
	h.wrong.Stop()
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
	case result == WrongEncoding:
		w.Header().Set("Accept-Encoding", "gzip")
		fallthrough
	default:
		w.Header().Set("Connection", "close") // and do not read the rest of the body
	}
	http.Error(w, a.text, a.status)
}

func (h *Handler) result(w http.ResponseWriter, req *http.Request) Result {
	switch {
	case strings.TrimSuffix(req.URL.Path, "/") != strings.TrimSuffix(h.o.Path, "/"):
		return WrongPath
	case req.Method != http.MethodPost:
		return WrongMethod
	case !h.knows(req.Header.Get(h.o.SecretHeader)):
		if req.Header.Get(h.o.SecretHeader) == "" {
			h.missing.Count()
		} else {
			h.wrong.Count()
		}
		return Stranger
	}
	defer serve(req.Context())()
	switch {
	case encoding(req) == encodingOther:
		return WrongEncoding
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
	body, unread := readBody(w, req, h.o.MaxBody)
	if unread != "" {
		return unread
	}
	// The time to read ends here: a deadline that passed later would end the
	// request's context, and look like a sender that left.
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
		return Cut
	}
	event, err := happyrobot.ParseEvent(body)
	if errors.Is(err, happyrobot.ErrNoEvent) {
		// What was an event without callbacks stays what it is, whatever it holds beside.
		event, err = happyrobot.ParseCallback(body, h.o.RunIDPath)
		if err == nil && happyrobot.IsPlaceholder(event.RunID) {
			h.unfilled.Do(func() {
				h.o.Log.Warnf("A callback has no run id but a placeholder at %s. Fill current.run_id in there in the workflow's Webhook node, or its run cannot be read. Such callbacks are taken, each that says something else; this is logged once.", h.o.RunIDPath)
			})
		}
	}
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

// knows compares digests with all secrets: the time it takes reveals neither how much of
// a guess is right, nor how long a secret is, nor which of them it was.
func (h *Handler) knows(shown string) bool {
	sum, known := sha256.Sum256([]byte(shown)), 0
	for _, secret := range h.secrets {
		known |= subtle.ConstantTimeCompare(sum[:], secret[:])
	}
	return known == 1
}
