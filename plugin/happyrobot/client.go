package happyrobot

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// DefaultBaseURL is the only base URL that the v1 pages show.
const DefaultBaseURL = "https://app.happyrobot.ai/api/v1"

// Largest replies that are read. A larger one is an error, never a cut.
const (
	maxListBytes  = 32 << 20 // lists and dials
	maxReplyBytes = 8 << 20
)

// maxUnreadable is how often a read is repeated because its 2xx is JSON, but not what was
// asked for: that is rarely a passing fault.
const maxUnreadable = 3

// Options of a Client. Only APIKey or APIKeys is required.
//
// The functions are called from whichever goroutines make requests, several at a time,
// and must return soon. Nil is nothing to do.
type Options struct {
	BaseURL   string            // default DefaultBaseURL
	APIKey    string            // without "Bearer "
	APIKeys   func() []string   // for a key that changes, in place of APIKey: the one to use, then those it was before, which errors do not show either
	Headers   map[string]string // sent with every request; see ValidateHeader
	Transport http.RoundTripper // nil for NewTransport(nil); redirects are never followed
	Timeout   time.Duration     // of one request, to the end of its reply; default 30s
	Retry     Retry             // of reads, and of writes that were not processed
	OmitRaw   bool              // created calls come without Raw, which costs more than all else of them

	// Wait is a rate limit: it returns when the next request may be made, or with an
	// error, and then the request is not made.
	Wait func(context.Context) error
	// OnRequest is called after each request, repeated ones included: the operation's
	// id, the status, 0 for no answer, and the time until the headers of the reply.
	OnRequest func(op string, status int, took time.Duration)
	// OnDate is called with the Date header of each answer that has one that can be read.
	// The request began at sent, and the headers of its answer were there at received.
	OnDate func(date, sent, received time.Time)
	// OnRepeat is called when a request begins to be repeated. Of what it returns, failed
	// is called before the pause of each repetition, and ended once: with nil when the
	// request was answered, else with the error that it fails with.
	OnRepeat func(op string) (failed func(err error, wait time.Duration), ended func(err error))
}

// Retry spaces repeated requests with full jitter: a pause is drawn from an interval
// that doubles from try to try. No try begins later than MaxElapsedTime after the first;
// 0 is for ever.
type Retry struct {
	InitialInterval, MaxInterval, MaxElapsedTime time.Duration
}

// Client calls the API. Safe for concurrent use.
type Client struct {
	opts Options
	base string

	baseCheck *baseCheck

	dialReply atomic.Int64 // bytes of the last reply to a dial
}

// New makes a client. It makes no request. An error names the option that cannot be used,
// as api_key, base_url or headers, and never its value.
func New(opts Options) (*Client, error) {
	if opts.APIKeys == nil {
		if err := ValidateAPIKey(opts.APIKey); err != nil {
			return nil, fmt.Errorf("api_key: %w", err)
		}
		keys := []string{opts.APIKey}
		opts.APIKeys = func() []string { return keys }
	}
	if opts.BaseURL == "" {
		opts.BaseURL = DefaultBaseURL
	}
	u, err := url.Parse(opts.BaseURL)
	if err != nil || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("base_url: must be an http or https URL without user and password, such as " + DefaultBaseURL)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("base_url: must have no query and no fragment")
	}
	for name, value := range opts.Headers {
		if err := ValidateHeader(name, value); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
	}
	if opts.Timeout <= 0 {
		opts.Timeout = 30 * time.Second
	}
	if opts.Retry.InitialInterval <= 0 {
		opts.Retry.InitialInterval = 500 * time.Millisecond
	}
	if opts.Retry.MaxInterval <= 0 {
		opts.Retry.MaxInterval = 30 * time.Second
	}
	// Not an http.Client, which follows redirects: that turns a dial into a GET (301)
	// or repeats it (307), and asks for the body again before it can be told not to.
	if opts.Transport == nil {
		opts.Transport = NewTransport(nil)
	}
	return &Client{opts: opts, base: strings.TrimRight(opts.BaseURL, "/"), baseCheck: newBaseCheck()}, nil
}

// ValidateAPIKey says what is wrong with a key, without repeating it.
func ValidateAPIKey(key string) error {
	if key == "" {
		return errors.New("must not be empty")
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errors.New("must not contain blanks or control characters; give the key without \"Bearer \"")
	}
	if strings.ContainsFunc(key, func(r rune) bool { return r > 0x7f }) {
		return errors.New("must have ASCII characters only; it may begin with an invisible byte order mark, so save it as plain text")
	}
	return nil
}

// NewTransport makes a transport with a connection pool wide enough for many
// batches in flight to one host.
//
// It speaks HTTP/1.1 only: over HTTP/2 all requests share one connection, so a
// stalled one, or a server that says goodbye, makes every dial in flight unknown.
// Idle connections are closed earlier than common load balancers close theirs (60s): a
// dial that meets one being closed is unknown, too. A nil conf is the default one.
func NewTransport(conf *tls.Config) *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     conf.Clone(),
		TLSHandshakeTimeout: 10 * time.Second,
		Protocols:           &protocols,
		MaxIdleConns:        256,
		MaxIdleConnsPerHost: 128,
		IdleConnTimeout:     45 * time.Second,
	}
}

// request is one call of an operation.
type request struct {
	op     string
	method string
	path   string // escaped
	query  url.Values
	body   *dialBody // nil for none
	single bool      // a read that is not repeated
	limit  int64
	expect int    // bytes of the reply, about
	uncut  bool   // once it was let through, only its own timeout ends it
	keyIn  string // header that has the key, bare; empty for the usual one
}

// once makes one request and reads its whole reply.
func (c *Client) once(ctx context.Context, r request) ([]byte, error) {
	if c.opts.Wait != nil {
		if err := c.opts.Wait(ctx); err != nil {
			return nil, &Error{Op: r.op, Err: fmt.Errorf("waiting for the rate limit: %w", err), notSent: true}
		}
	}
	if r.uncut {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()

	// Nothing of a request can have left before it was given a connection.
	var connected atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	req, err := c.build(ctx, r)
	if err != nil {
		return nil, &Error{Op: r.op, Err: err, notSent: true}
	}
	began := time.Now()
	res, err := c.opts.Transport.RoundTrip(req)
	if err != nil {
		c.observe(r.op, 0, began)
		return nil, &Error{Op: r.op, Err: scrub(err, func() secrets { return c.secretsOf(r) }), notSent: !connected.Load() || r.body != nil && r.body.withhold()}
	}
	defer func() { _ = res.Body.Close() }()
	c.observe(r.op, res.StatusCode, began)
	if c.opts.OnDate != nil {
		if date, err := http.ParseTime(res.Header.Get("Date")); err == nil {
			c.opts.OnDate(date, began, time.Now())
		}
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		excerpt, _ := io.ReadAll(io.LimitReader(res.Body, maxExcerptRead))
		e := replyError(r.op, res, excerpt, c.secretsOf(r))
		e.unmet = !c.baseCheck.good.Load()
		return nil, e
	}
	body, err := readBody(res, r.limit, r.expect)
	if err != nil {
		if !errors.Is(err, errTooLarge) {
			err = scrub(err, func() secrets { return c.secretsOf(r) })
		}
		return nil, &Error{Op: r.op, Status: res.StatusCode, Err: fmt.Errorf("reading the reply: %w", err)}
	}
	return body, nil
}

// readBody reads a reply of at most limit bytes. Its buffer is as large as the reply says
// that it is, or is expected to be.
func readBody(res *http.Response, limit int64, expect int) ([]byte, error) {
	tooLarge := fmt.Errorf("%w than %d MiB", errTooLarge, limit>>20)
	if res.ContentLength > limit {
		return nil, tooLarge
	}
	var body bytes.Buffer
	body.Grow(max(expect, int(res.ContentLength), 0) + bytes.MinRead) // to see the end without growing
	if _, err := body.ReadFrom(io.LimitReader(res.Body, limit+1)); err != nil {
		return nil, err
	}
	if int64(body.Len()) > limit {
		return nil, tooLarge
	}
	return body.Bytes(), nil
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, http.NoBody)
	if err != nil {
		return nil, errors.New("building the request failed")
	}
	for k, v := range c.opts.Headers {
		req.Header.Set(k, v)
	}
	keys := c.opts.APIKeys()
	switch {
	case len(keys) == 0: // a Requester's, whose API wants none
	case r.keyIn != "":
		req.Header.Set(r.keyIn, keys[0])
	default:
		req.Header.Set("Authorization", "Bearer "+keys[0])
	}
	req.Header.Set("Accept", "application/json")
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "benthos-happyrobot")
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.Body, req.GetBody, req.ContentLength = r.body.reader(), r.body.again, int64(len(r.body.json))
	}
	return req, nil
}

func (c *Client) observe(op string, status int, began time.Time) {
	if c.opts.OnRequest != nil {
		c.opts.OnRequest(op, status, time.Since(began))
	}
}

// read repeats a GET until it is answered, unless it is a single one, and decodes
// the answer.
func (c *Client) read(ctx context.Context, r request, into any) error {
	r.method = http.MethodGet
	return c.repeat(ctx, r, func(body []byte) error { return json.Unmarshal(body, into) })
}

// repeat makes a request until it is answered, its answer included, or fails in a
// way that must not be repeated.
func (c *Client) repeat(ctx context.Context, r request, decode func([]byte) error) (err error) {
	var failed func(error, time.Duration) // nil until it is repeated, and if nobody listens
	began, grows := time.Now(), pause.NewGrowing(c.opts.Retry.InitialInterval, c.opts.Retry.MaxInterval)
	unreadable := 0
	for {
		var body []byte
		body, err = c.once(ctx, r)
		if err == nil {
			if err = decode(body); err == nil {
				c.baseCheck.good.Store(true)
				return nil
			}
			err = &Error{Op: r.op, Status: http.StatusOK, Err: fmt.Errorf("decoding the reply: %w", decodeError(body, err))}
		}
		var e *Error
		if !r.single && errors.As(err, &e) && e.mayBeMistaken() {
			if wrong := c.checkBase(ctx, e); wrong != nil {
				err = wrong
			}
		}
		if r.single || !errors.As(err, &e) || !e.Class().Repeatable() {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", r.op, context.Cause(ctx))
		}
		if e.Class() == ClassUnreadable {
			if unreadable++; unreadable > maxUnreadable {
				return err
			}
		}
		wait := max(grows.Next(), e.RetryAfter)
		if limit := c.opts.Retry.MaxElapsedTime; limit > 0 && time.Since(began)+wait > limit {
			return err
		}
		if c.opts.OnRepeat != nil {
			if failed == nil {
				var ended func(error)
				failed, ended = c.opts.OnRepeat(r.op)
				defer func() { ended(err) }()
			}
			failed(err, wait)
		}
		if stopped := pause.Sleep(ctx, wait); stopped != nil {
			return fmt.Errorf("%s: %w", r.op, stopped)
		}
	}
}
