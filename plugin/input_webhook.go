package plugin

import (
	"context"
	"fmt"
	"regexp"
	"sync"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/store"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/webhook"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

const ( // iw: input webhook
	iwFieldAddress      = "address"
	iwFieldPath         = "path"
	iwFieldSecret       = "secret"
	iwFieldSecrets      = "secrets"
	iwFieldSecretHeader = "secret_header"
	iwFieldRunIDPath    = "run_id_path"
	iwFieldCache        = "cache"
	iwFieldTimeout      = "timeout"
	iwFieldReadTimeout  = "read_timeout"
	iwFieldMaxBody      = "max_body_bytes"
	iwFieldMaxInFlight  = "max_in_flight"
	iwFieldMaxConns     = "max_connections"
	iwFieldTLS          = "tls"
	iwFieldCertFile     = "cert_file"
	iwFieldKeyFile      = "key_file"
)

func init() {
	service.MustRegisterInput("happyrobot_webhook", inputWebhookSpec(), newWebhookInputFromParsed)
}

func inputWebhookSpec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Summary("Receives call events and callbacks of workflows over HTTP, and answers once the pipeline has taken them.").
		Description(description("input_happyrobot_webhook")).
		Categories("Services").
		Fields(
			service.NewStringField(iwFieldAddress).
				Description("The address to listen on, as `host:port`. Only this machine by default; port 0 takes a free one, which the log names.").
				Default("127.0.0.1:8080").
				Example("0.0.0.0:8443"),
			service.NewStringField(iwFieldPath).
				Description("The path that events are posted to, with or without a slash at its end.").
				Default("/happyrobot").
				LintRule(`root = if !this.re_match("^/[^?#\\s]*$") { [ "`+"`path`"+` must begin with a slash, and have no blanks, query or fragment" ] }`),
			service.NewStringField(iwFieldSecret).
				Description("The value that `secret_header` must have. Take it from an environment variable or a secret store, and make it long and random. Exactly one of `secret` and `secrets` must be set, which is checked at start.").
				Example("${HAPPYROBOT_WEBHOOK_SECRET}").
				Secret().
				Default("").
				LintRule(secretLint(iwFieldSecret, `this == ""`)),
			service.NewStringListField(iwFieldSecrets).
				Description("Values of which `secret_header` must have one, in place of `secret`. To replace a secret without losing events, set the old and the new one here, give the sender the new one, and then remove the old one.").
				Example([]any{"${HAPPYROBOT_WEBHOOK_SECRET}", "${HAPPYROBOT_WEBHOOK_NEW_SECRET}"}).
				Secret().
				Default([]any{}).
				LintRule(secretLint(iwFieldSecrets, `this.type() == "array"`)),
			service.NewStringField(iwFieldSecretHeader).
				Description("The header that carries the secret.").
				Default("x-hook-secret").
				LintRule(`root = if !this.re_match("^[!#$%&'*+.^_`+"`"+`|~0-9A-Za-z-]+$") { [ "`+"`secret_header`"+` must be the name of a header" ] }`),
			service.NewStringField(iwFieldRunIDPath).
				Description("Where the body of a workflow's own callback has the id of its run: names of members, with dots between them. A body that is neither a hook nor a CloudEvent and has a run id there is a callback; nothing else makes it one. Empty takes no callbacks.").
				Default("run_id").
				Example("data.run_id").
				LintRule(`root = if this != "" && !this.re_match("^[^.\\s]+([.][^.\\s]+)*$") { [ "`+"`run_id_path`"+` must be names of members with dots between them, or empty" ] }`),
			service.NewStringField(iwFieldCache).
				Description("The label of a `cache` resource that remembers the ids of events that were taken, for as long as its own expiry says; a few days are plenty. Pipelines that share a cache and a `path` share the events. Empty remembers none.").
				Default(""),
			service.NewDurationField(iwFieldTimeout).
				Description("The longest that a request waits for the pipeline. After that the event stays in the pipeline, and the sender's next try waits for the same event.").
				Default("10s"),
			service.NewObjectField(iwFieldTLS,
				service.NewStringField(iwFieldCertFile).
					Description("A PEM file with the certificate and its intermediate certificates. It is read again, with `key_file`, when either changes; while the new pair cannot be used, the last one is still served.").
					Default(""),
				service.NewStringField(iwFieldKeyFile).
					Description("A PEM file with the certificate's key.").
					Default(""),
			).Description("The server's certificate. Without one, events and secret travel in the clear.").
				LintRule(`root = if ((this.cert_file | "") == "") != ((this.key_file | "") == "") { [ "`+"`tls`"+` needs both cert_file and key_file" ] }`),
			service.NewIntField(iwFieldMaxBody).
				Description("The largest body that is accepted, in bytes: as it is sent, and, of one that is compressed, also what comes of it.").
				Default(1<<20).
				Advanced().
				LintRule(`root = if this < 1 { [ "`+"`max_body_bytes`"+` must be at least 1" ] }`),
			service.NewIntField(iwFieldMaxInFlight).
				Description("The most events that wait for the pipeline at the same time. More are answered with 503.").
				Default(64).
				Advanced().
				LintRule(`root = if this < 1 { [ "`+"`max_in_flight`"+` must be at least 1" ] }`),
			service.NewIntField(iwFieldMaxConns).
				Description("The most connections that are open at the same time. Where all are taken, a new one takes the place of the one that has waited longest without a request, of a stranger first; only while all of them serve senders who know the secret is a new one refused. The log says so, every five minutes at most.").
				Default(512).
				Advanced().
				LintRule(`root = if this < 1 { [ "`+"`max_connections`"+` must be at least 1" ] }`),
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
`).
		Example("Runs of the platform, from callbacks", "Each callback becomes the whole run. The node of the workflow that posts it has \"ignore 5XX\" on.", `
input:
  happyrobot_webhook:
    address: 0.0.0.0:8443
    secret: ${HAPPYROBOT_WEBHOOK_SECRET}
    run_id_path: data.run_id # of {"event": "completed", "data": {"run_id": "..."}}
    cache: events
    tls: { cert_file: ./cert.pem, key_file: ./key.pem }

pipeline:
  processors:
    - mapping: root = if @happyrobot_event_kind != "callback" { deleted() }
    - happyrobot_run:
        api_key: ${HAPPYROBOT_API_KEY}
        run_id: ${! @happyrobot_run_id }
        wait: finished

cache_resources:
  - label: events
    bbolt: { path: ./events.db, default_ttl: 168h }
`)
}

// secretLint refuses a secret that no header can carry, but for what passes, and for a
// line break at its end, which the start removes.
func secretLint(field, passes string) string {
	return `root = if !(` + passes + `) && !this.re_match("^[!-~]([ -~]*[!-~])?[ \\t]*([\\r\\n]\\s*)?$") { [ "` + "`" + field + "`" + ` must be printable ASCII without blanks around it, as a header can carry it" ] }`
}

var (
	webhookPath   = regexp.MustCompile(`^/[^?#\s]*$`)
	webhookSecret = regexp.MustCompile(`^[!-~]([ -~]*[!-~])?$`)
	webhookRunID  = regexp.MustCompile(`^([^.\s]+([.][^.\s]+)*)?$`)
	webhookHeader = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
)

func newWebhookInputFromParsed(conf *service.ParsedConfig, res *service.Resources) (service.Input, error) {
	in := &webhookInput{
		log:    res.Logger(),
		texts:  newTranscriptTexts(res, "content.messages"),
		closed: make(chan struct{}),
	}
	requests := fromZero(res.Metrics().NewCounter(words.MetricWebhookRequests, "result"), webhook.Results()...)
	options := webhook.Options{Log: in.log, OnResult: func(r webhook.Result) { requests.Incr(1, string(r)) }}
	var label string
	var err error
	if options.Secrets, err = webhookSecrets(conf, in.log); err != nil {
		return nil, err
	}
	for _, text := range []struct {
		field string
		into  *string
		good  *regexp.Regexp
		must  string
	}{
		{iwFieldAddress, &in.listen.Address, nil, ""},
		{iwFieldPath, &options.Path, webhookPath, "must begin with a slash, and have no blanks, query or fragment"},
		{iwFieldSecretHeader, &options.SecretHeader, webhookHeader, "must be the name of a header"},
		{iwFieldRunIDPath, &options.RunIDPath, webhookRunID, "must be names of members with dots between them, or empty"},
		{iwFieldCache, &label, nil, ""},
	} {
		if *text.into, err = conf.FieldString(text.field); err != nil {
			return nil, err
		}
		if text.good != nil && !text.good.MatchString(*text.into) {
			return nil, fmt.Errorf("%s: %s", text.field, text.must)
		}
	}
	var taken store.Store
	if label != "" {
		if !res.HasCache(label) {
			return nil, fmt.Errorf("%s: no cache resource is labelled %q", iwFieldCache, label)
		}
		cache := newWatchedCache(res, label, eventsRole)
		if err := cache.check(); err != nil {
			return nil, err
		}
		taken = cache
	}
	if options.Timeout, err = positiveDuration(conf, iwFieldTimeout); err != nil {
		return nil, err
	}
	if in.listen.ReadTimeout, err = positiveDuration(conf, iwFieldReadTimeout); err != nil {
		return nil, err
	}
	for field, into := range map[string]*int{
		iwFieldMaxBody: &options.MaxBody, iwFieldMaxInFlight: &options.MaxInFlight, iwFieldMaxConns: &in.listen.Connections,
	} {
		if *into, err = conf.FieldInt(field); err != nil {
			return nil, err
		}
		if *into < 1 {
			return nil, fmt.Errorf("%s: must be at least 1", field)
		}
	}
	if in.certificate, err = webhookCertificate(conf, in.log); err != nil {
		return nil, err
	}
	if in.certificate != nil {
		in.listen.TLS = in.certificate.Config()
	}
	in.listen.Timeout, in.listen.Log, in.path = options.Timeout, in.log, options.Path
	in.events = webhook.NewDeliveries(options.Path, taken, options.Timeout, in.log)
	in.handler = webhook.NewHandler(options, in.events)
	return in, nil
}

// webhookSecrets are the values that the secret's header may have.
func webhookSecrets(conf *service.ParsedConfig, log pause.Logger) (secrets []string, err error) {
	secret, err := conf.FieldString(iwFieldSecret)
	if err != nil {
		return nil, err
	}
	given, err := conf.FieldStringList(iwFieldSecrets)
	if err != nil {
		return nil, err
	}
	field, must := iwFieldSecrets, "each must"
	which := func(n int) string { return fmt.Sprintf("; number %d is not", n) }
	switch {
	case secret != "" && len(given) > 0:
		return nil, fmt.Errorf("%s and %s: only one of them may be set", iwFieldSecret, iwFieldSecrets)
	case len(given) == 0 && secret == "":
		return nil, fmt.Errorf("%s: must not be empty, unless %s is set: without a secret anybody could make up events", iwFieldSecret, iwFieldSecrets)
	case len(given) == 0:
		field, must, given = iwFieldSecret, "it must", []string{secret}
		which = func(int) string { return "" }
	}
	for i, written := range given {
		secret := withoutLineEnd(field, written, log)
		if !webhookSecret.MatchString(secret) {
			return nil, fmt.Errorf("%s: %s be printable ASCII, not empty, without blanks around it%s", field, must, which(i+1))
		}
		secrets = append(secrets, secret)
		if secret != written && webhookSecret.MatchString(written) {
			secrets = append(secrets, written) // who really ends a secret in these characters is let in, too
		}
	}
	return secrets, nil
}

// webhookCertificate reads the certificate; nil is none.
func webhookCertificate(conf *service.ParsedConfig, log pause.Logger) (*webhook.Certificate, error) {
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
	certificate, err := webhook.LoadCertificate(cert, key, log)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", iwFieldTLS, err)
	}
	return certificate, nil
}

// webhookInput receives events over HTTP.
type webhookInput struct {
	listen  webhook.ServerOptions
	path    string
	handler *webhook.Handler
	events  *webhook.Deliveries
	texts   *transcriptTexts
	log     *service.Logger

	certificate *webhook.Certificate // nil for none

	mu     sync.Mutex
	server *webhook.Server // nil while not connected
	closed chan struct{}
}

// Connect begins to listen.
func (in *webhookInput) Connect(ctx context.Context) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.isClosed() {
		return service.ErrEndOfInput
	}
	if in.server != nil {
		return nil
	}
	server, err := webhook.Listen(ctx, in.listen, in.handler)
	if err != nil {
		return fmt.Errorf("%s: %w", iwFieldAddress, err)
	}
	in.server = server
	in.log.Infof("Listening for events at %s%s", server.URL(), in.path)
	return nil
}

func (in *webhookInput) isClosed() bool {
	select {
	case <-in.closed:
		return true
	default:
		return false
	}
}

// Read hands the next event to the pipeline.
func (in *webhookInput) Read(ctx context.Context) (*service.Message, service.AckFunc, error) {
	in.mu.Lock()
	server := in.server
	in.mu.Unlock()
	if server == nil {
		return nil, nil, service.ErrNotConnected
	}
	select {
	case d := <-in.events.Queue():
		return eventMessage(d.Event, in.texts), func(ctx context.Context, err error) error {
			in.events.Settle(ctx, d, err)
			return nil
		}, nil
	case <-ctx.Done():
		// The pipeline stops. It still acknowledges what it has, for which the
		// server is kept until Close.
		in.events.Stop()
		return nil, nil, ctx.Err()
	case <-in.closed:
		return nil, nil, service.ErrEndOfInput
	case <-server.Ended():
		server.Abort()
		in.mu.Lock()
		defer in.mu.Unlock()
		if in.isClosed() {
			return nil, nil, service.ErrEndOfInput
		}
		if in.server == server {
			in.server = nil
		}
		return nil, nil, service.ErrNotConnected
	}
}

// Close answers what waits, and stops listening.
func (in *webhookInput) Close(ctx context.Context) error {
	in.mu.Lock()
	server := in.server
	if !in.isClosed() {
		close(in.closed)
	}
	in.mu.Unlock()
	in.events.Abandon()
	if server != nil {
		server.Close(ctx)
	}
	in.handler.Stop()
	if in.certificate != nil {
		in.certificate.Stop()
	}
	return nil
}
