package plugin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
)

const ( // iw: input webhook
	iwFieldAddress      = "address"
	iwFieldPath         = "path"
	iwFieldSecret       = "secret"
	iwFieldSecretHeader = "secret_header"
	iwFieldCache        = "cache"
	iwFieldTimeout      = "timeout"
	iwFieldReadTimeout  = "read_timeout"
	iwFieldMaxBody      = "max_body_bytes"
	iwFieldMaxInFlight  = "max_in_flight"
	iwFieldTLS          = "tls"
	iwFieldCertFile     = "cert_file"
	iwFieldKeyFile      = "key_file"
)

const (
	webhookIdle     = 60 * time.Second // of a connection without requests
	webhookGrace    = 5 * time.Second  // for answers to be written at the end
	maxHeaderBytes  = 16 << 10
	webhookLogStart = "Listening for events at "
)

func init() {
	service.MustRegisterInput("happyrobot_webhook", inputWebhookSpec(), newWebhookInputFromParsed)
}

func inputWebhookSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Receives call events over HTTP, and answers once the pipeline has taken them.").
		Description(description("input_happyrobot_webhook")).
		Categories("Services").
		Fields(
			service.NewStringField(iwFieldAddress).
				Description("The address to listen on, as `host:port`. Only this machine by default; port 0 takes a free one, which the log names.").
				Default("127.0.0.1:8080").
				Example("0.0.0.0:8443"),
			service.NewStringField(iwFieldPath).
				Description("The path that events are posted to.").
				Default("/happyrobot").
				LintRule(`root = if !this.re_match("^/[^?#\\s]*$") { [ "`+"`path`"+` must begin with a slash, and have no blanks, query or fragment" ] }`),
			service.NewStringField(iwFieldSecret).
				Description("The value that `secret_header` must have. Take it from an environment variable or a secret store, and make it long and random.").
				Example("${HAPPYROBOT_WEBHOOK_SECRET}").
				Secret().
				LintRule(`root = if this == "" { [ "`+"`secret`"+` must not be empty: without it anybody could make up events" ] } else if this.trim() != this || !this.re_match("^[ -~]*$") { [ "`+"`secret`"+` must be printable ASCII without blanks around it, as a header can carry it" ] }`),
			service.NewStringField(iwFieldSecretHeader).
				Description("The header that carries the secret.").
				Default("x-hook-secret").
				LintRule(`root = if !this.re_match("^[!#$%&'*+.^_`+"`"+`|~0-9A-Za-z-]+$") { [ "`+"`secret_header`"+` must be the name of a header" ] }`),
			service.NewStringField(iwFieldCache).
				Description("The label of a `cache` resource that remembers the ids of events that were taken, for as long as its own expiry says; a few days are plenty. Pipelines that share a cache and a `path` share the events. Empty remembers none.").
				Default(""),
			service.NewDurationField(iwFieldTimeout).
				Description("The longest that a request waits for the pipeline. The event stays in the pipeline when it passes, and the sender's next try waits on.").
				Default("10s"),
			service.NewObjectField(iwFieldTLS,
				service.NewStringField(iwFieldCertFile).
					Description("A file with the certificate, and those that lead to its root, in PEM form.").
					Default(""),
				service.NewStringField(iwFieldKeyFile).
					Description("A file with the certificate's key in PEM form.").
					Default(""),
			).Description("The server's certificate. Without one, events and secret travel in the clear.").
				LintRule(`root = if ((this.cert_file | "") == "") != ((this.key_file | "") == "") { [ "`+"`tls`"+` needs both cert_file and key_file" ] }`),
			service.NewIntField(iwFieldMaxBody).
				Description("The largest body that is taken, in bytes.").
				Default(1<<20).
				Advanced().
				LintRule(`root = if this < 1 { [ "`+"`max_body_bytes`"+` must be at least 1" ] }`),
			service.NewIntField(iwFieldMaxInFlight).
				Description("The most events that wait for the pipeline at the same time. More are answered with 503.").
				Default(64).
				Advanced().
				LintRule(`root = if this < 1 { [ "`+"`max_in_flight`"+` must be at least 1" ] }`),
			service.NewDurationField(iwFieldReadTimeout).
				Description("The longest that a request may take to arrive, to the end of its body.").
				Default("10s").
				Advanced(),
		).
		Example("Finished calls with their transcript", "Each end of a call becomes the call itself.", `
input:
  happyrobot_webhook:
    address: 0.0.0.0:8443
    secret: ${HAPPYROBOT_WEBHOOK_SECRET}
    cache: events
    tls: { cert_file: ./cert.pem, key_file: ./key.pem }

pipeline:
  processors:
    - mapping: root = if @happyrobot_event_type != "end" { deleted() }
    - happyrobot_call:
        api_key: ${HAPPYROBOT_API_KEY}
        call_id: ${! @happyrobot_call_id }
        result_map: root = this

cache_resources:
  - label: events
    bbolt: { path: ./events.db, default_ttl: 168h }
`)
}

var (
	webhookPath   = regexp.MustCompile(`^/[^?#\s]*$`)
	webhookSecret = regexp.MustCompile(`^[!-~]([ -~]*[!-~])?$`)
	webhookHeader = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
)

func newWebhookInputFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.Input, error) {
	in := &webhookInput{
		log:    res.Logger(),
		closed: make(chan struct{}),
	}
	h := &in.handler
	for _, text := range []struct {
		field string
		into  *string
		good  *regexp.Regexp
		must  string
	}{
		{iwFieldAddress, &in.address, nil, ""},
		{iwFieldPath, &h.path, webhookPath, "must begin with a slash, and have no blanks, query or fragment"},
		{iwFieldSecret, &h.secret, webhookSecret, "must be printable ASCII, not empty, without blanks around it"},
		{iwFieldSecretHeader, &h.secretHeader, webhookHeader, "must be the name of a header"},
		{iwFieldCache, &h.events.cache, nil, ""},
	} {
		var err error
		if *text.into, err = conf.FieldString(text.field); err != nil {
			return nil, err
		}
		if text.good != nil && !text.good.MatchString(*text.into) {
			return nil, fmt.Errorf("%s: %s", text.field, text.must)
		}
	}
	if label := h.events.cache; label != "" && !res.HasCache(label) {
		return nil, fmt.Errorf("%s: no cache resource is labelled %q", iwFieldCache, label)
	}
	var err error
	if h.timeout, err = positiveDuration(conf, iwFieldTimeout); err != nil {
		return nil, err
	}
	if in.readTimeout, err = positiveDuration(conf, iwFieldReadTimeout); err != nil {
		return nil, err
	}
	for field, into := range map[string]*int{iwFieldMaxBody: &h.maxBody, iwFieldMaxInFlight: &h.maxInFlight} {
		if *into, err = conf.FieldInt(field); err != nil {
			return nil, err
		}
		if *into < 1 {
			return nil, fmt.Errorf("%s: must be at least 1", field)
		}
	}
	if in.tls, err = webhookTLS(conf); err != nil {
		return nil, err
	}
	h.init(res)
	return in, nil
}

// webhookTLS reads the certificate; nil is none.
func webhookTLS(conf *service.ParsedConfig) (*tls.Config, error) {
	cert, err := conf.FieldString(iwFieldTLS, iwFieldCertFile)
	if err != nil {
		return nil, err
	}
	key, err := conf.FieldString(iwFieldTLS, iwFieldKeyFile)
	if err != nil {
		return nil, err
	}
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, fmt.Errorf("%s: needs both %s and %s", iwFieldTLS, iwFieldCertFile, iwFieldKeyFile)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", iwFieldTLS, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// webhookInput receives events over HTTP.
type webhookInput struct {
	address     string
	tls         *tls.Config // nil for none
	readTimeout time.Duration
	log         *service.Logger
	handler     webhookHandler

	mu     sync.Mutex
	server *http.Server  // nil while not connected
	ended  chan struct{} // when the server stopped serving
	closed chan struct{}
}

// Connect begins to listen.
func (in *webhookInput) Connect(ctx context.Context) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	select {
	case <-in.closed:
		return service.ErrEndOfInput
	default:
	}
	if in.server != nil {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", in.address)
	if err != nil {
		return fmt.Errorf("%s: %w", iwFieldAddress, err)
	}
	// HTTP/1.1 only, as the client: one request at a time and connection is easy
	// to bound.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           &in.handler,
		TLSConfig:         in.tls,
		Protocols:         &protocols,
		ReadHeaderTimeout: in.readTimeout,
		ReadTimeout:       in.readTimeout,
		WriteTimeout:      in.readTimeout + in.handler.timeout + webhookGrace,
		IdleTimeout:       webhookIdle,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(debugLog{in.log}, "", 0),
	}
	ended := make(chan struct{})
	scheme, serve := "http", server.Serve
	if in.tls != nil {
		scheme = "https"
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	in.server, in.ended = server, ended
	in.log.Infof("%s%s://%s%s", webhookLogStart, scheme, listener.Addr(), in.handler.path)
	go func() {
		defer close(ended)
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			in.log.Errorf("Listening for events ended: %v", err)
		}
	}()
	return nil
}

// Read hands the next event to the pipeline.
func (in *webhookInput) Read(ctx context.Context) (*service.Message, service.AckFunc, error) {
	in.mu.Lock()
	ended := in.ended
	in.mu.Unlock()
	if ended == nil {
		return nil, nil, service.ErrNotConnected
	}
	events := &in.handler.events
	select {
	case d := <-events.queue:
		return events.eventMessage(d.event), func(ctx context.Context, err error) error {
			events.settle(ctx, d, err)
			return nil
		}, nil
	case <-ctx.Done():
		// The pipeline stops. It still acknowledges what it has, for which the
		// server is kept until Close.
		events.stop()
		return nil, nil, ctx.Err()
	case <-in.closed:
		return nil, nil, service.ErrEndOfInput
	case <-ended:
		in.mu.Lock()
		defer in.mu.Unlock()
		select {
		case <-in.closed:
			return nil, nil, service.ErrEndOfInput
		default:
		}
		if in.server != nil {
			_ = in.server.Close()
		}
		in.server, in.ended = nil, nil
		return nil, nil, service.ErrNotConnected
	}
}

// Close answers what waits, and stops listening.
func (in *webhookInput) Close(ctx context.Context) error {
	in.mu.Lock()
	server, ended := in.server, in.ended
	select {
	case <-in.closed:
	default:
		close(in.closed)
	}
	in.mu.Unlock()
	in.handler.events.abandon()
	if server == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, webhookGrace)
	defer cancel()
	if server.Shutdown(ctx) != nil {
		_ = server.Close() // somebody reads or writes very slowly
	}
	<-ended
	return nil
}

// debugLog takes what net/http has to say of single connections: strangers must
// not be able to fill the log.
type debugLog struct{ log *service.Logger }

func (l debugLog) Write(p []byte) (int, error) {
	l.log.Debug(strings.TrimSpace(string(p)))
	return len(p), nil
}
