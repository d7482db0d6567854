package rig

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"
)

// Kept is an answer that does not reach the client as it is, nor is counted.
type Kept struct {
	header http.Header
	status int
	body   []byte
}

// Header implements http.ResponseWriter.
func (k *Kept) Header() http.Header { return k.header }

// WriteHeader implements http.ResponseWriter.
func (k *Kept) WriteHeader(status int) { k.status = status }

// Write implements http.ResponseWriter.
func (k *Kept) Write(b []byte) (int, error) {
	k.body = append(k.body, b...)
	return len(b), nil
}

// Answered counts an answer, unless a fault keeps it.
func (r *Rig) Answered(w http.ResponseWriter, operation string, status int) {
	if _, ok := w.(*Kept); !ok {
		r.Count(operation, status)
	}
}

// Reply answers, and counts the answer.
func (r *Rig) Reply(w http.ResponseWriter, operation string, status int, mediaType string, body []byte) {
	r.Answered(w, operation, status)
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// ReplyHTML answers 200 with a page in place of a document.
func (r *Rig) ReplyHTML(w http.ResponseWriter, operation string) {
	r.Reply(w, operation, http.StatusOK, "text/html", []byte("<html><body>All is well.</body></html>"))
}

// Cut ends a connection without an answer. It does not return.
func (r *Rig) Cut(operation string) {
	r.Count(operation, 0)
	panic(http.ErrAbortHandler)
}

// CutInRequest reads half of what a request sends and cuts the connection. It does not return.
func (r *Rig) CutInRequest(req *http.Request, operation string) {
	if req.ContentLength > 1 {
		_, _ = io.CopyN(io.Discard, req.Body, req.ContentLength/2)
	}
	r.Cut(operation)
}

// CutInAnswer sends half an answer. It does not return.
func (r *Rig) CutInAnswer(w http.ResponseWriter, operation string, status int, body []byte) {
	r.Count(operation, status)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body[:len(body)/2])
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// Pause waits on the wall clock, unless the client leaves or the Rig closes.
func (r *Rig) Pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-r.done:
	}
}

// Break answers a request that a fault strikes after h has done its work. It may not return.
func (r *Rig) Break(w http.ResponseWriter, req *http.Request, operation string, f *Fault, h http.HandlerFunc, fail func(status int)) {
	answer := &Kept{header: http.Header{}, status: http.StatusOK}
	h(answer, req)
	switch f.Kind {
	case ErrorAfter:
		f.SetRetryAfter(w.Header())
		fail(f.Status)
	case WrongType:
		r.ReplyHTML(w, operation)
	case NotJSON:
		r.Reply(w, operation, http.StatusOK, "application/json", answer.body[:len(answer.body)/2])
	case CutBody:
		if len(answer.body) == 0 {
			r.Cut(operation)
		}
		r.CutInAnswer(w, operation, answer.status, answer.body)
	default:
		r.Cut(operation)
	}
}
