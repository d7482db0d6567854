package plugin

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/happyrobot"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

const ( // cf: client fields, which every component that calls the API has
	cfFieldAPIKey          = "api_key"
	cfFieldAPIKeyFile      = "api_key_file" //nolint:gosec // the name of a field
	cfFieldBaseURL         = "base_url"
	cfFieldTimeout         = "timeout"
	cfFieldRateLimit       = "rate_limit"
	cfFieldHeaders         = "headers"
	cfFieldTLS             = "tls"
	cfFieldRetry           = "retry"
	cfFieldInitialInterval = "initial_interval"
	cfFieldMaxInterval     = "max_interval"
	cfFieldMaxElapsedTime  = "max_elapsed_time"
)

func clientFields() []*service.ConfigField {
	return clientFieldsAt(service.NewStringField(cfFieldBaseURL).
		Description("Where the API is. Point it at `callsim` to try a pipeline without calling anybody.").
		Default(happyrobot.DefaultBaseURL))
}

// clientFieldsAt are the fields of a component whose field base_url is another one.
func clientFieldsAt(baseURL *service.ConfigField) []*service.ConfigField {
	return []*service.ConfigField{
		service.NewStringField(cfFieldAPIKey).
			Description("The API key of the organization. `Bearer ` is added. Take it from an environment variable or a secret store. Exactly one of `api_key` and `api_key_file` must be set, which is checked at start.").
			Example("${HAPPYROBOT_API_KEY}").
			Secret().
			Default(""),
		service.NewStringField(cfFieldAPIKeyFile).
			Description("A file with the API key and nothing else; blanks and line breaks around it are ignored. The file is read again within seconds when it changes, as a mounted secret does, so a key is replaced without a restart. Requests keep the old key while the file is missing, empty or unreadable.").
			Example("/run/secrets/happyrobot").
			Default(""),
		baseURL,
		service.NewDurationField(cfFieldTimeout).
			Description("The longest that one request may take, from connecting to the end of the reply.").
			Default("30s"),
		service.NewStringField(cfFieldRateLimit).
			Description("The label of a `rate_limit` resource that every request waits for. Empty is no limit.").
			Default(""),
		service.NewStringMapField(cfFieldHeaders).
			Description("Headers to send with every request. Refused are those that the client sends itself, or that would change how a request is sent or read: `Authorization`, `Host`, `Content-*`, `Accept-Encoding`, `Idempotency-Key`, `X-Idempotency-Key`, and those of the connection, such as `Transfer-Encoding`. Put values in quotes: Benthos hides them where it shows a config, and does not start with a bare number or `true`.").
			Secret().
			Default(map[string]any{}).
			Advanced().
			LintRule(headersLint()),
		service.NewTLSToggledField(cfFieldTLS),
		service.NewObjectField(cfFieldRetry,
			service.NewDurationField(cfFieldInitialInterval).
				Description("The longest first pause. Pauses are drawn at random up to an interval that doubles each time; a longer `Retry-After` wins.").
				Default("500ms"),
			service.NewDurationField(cfFieldMaxInterval).
				Description("The maximum interval.").
				Default("30s"),
			service.NewDurationField(cfFieldMaxElapsedTime).
				Description("When to stop waiting for the API and fail messages instead. `0s` waits for ever, so that an outage or a revoked key pauses the stream and fails nothing.").
				Default("0s"),
		).Description("Pauses while the API cannot be reached, is rate limited, or refuses the key. A request that may have placed a call is never repeated; see `on_unknown` of `happyrobot_dial`.").
			Advanced(),
	}
}

// headersLint refuses what the client refuses, with its reasons.
func headersLint() string {
	var cases strings.Builder
	for _, refused := range happyrobot.RefusedHeaders() {
		fmt.Fprintf(&cases, "this.re_match(%q) => \"`headers`: \" + header + %q,\n", refused.Pattern, " must not be set: "+refused.Why)
	}
	return "root = if this.type() == \"object\" { this.keys().sort().map_each(header -> match header.lowercase() {\n" + cases.String() + "_ => deleted() }) }"
}

// clientConfig is what clientFields say. The component that parsed it closes it when no
// request is made any more.
type clientConfig struct {
	options happyrobot.Options
	limit   *rateLimit        // nil for none
	api     [sha256.Size]byte // the same for components with the same API and key
	keyless bool              // there may be no key
	paused  *pausedGauge
	notices []*pause.Notice
}

// clientFromParsed reads them. What the client waits for is shown by paused.
func clientFromParsed(conf *service.ParsedConfig, res *service.Resources, paused *pausedGauge) (c clientConfig, err error) {
	return clientFromParsedAt(conf, res, paused, happyrobot.DefaultBaseURL)
}

// clientFromParsedAt is clientFromParsed for a component whose base URL is elsewhere
// where base_url is empty.
func clientFromParsedAt(conf *service.ParsedConfig, res *service.Resources, paused *pausedGauge, baseURL string) (c clientConfig, err error) {
	err = c.fromParsed(conf, res, paused, baseURL)
	return c, err
}

func (c *clientConfig) fromParsed(conf *service.ParsedConfig, res *service.Resources, paused *pausedGauge, baseURL string) (err error) {
	c.paused = paused
	o := &c.options
	keyFile, err := c.keyFromParsed(conf, res)
	if err != nil {
		return err
	}
	if o.BaseURL, err = conf.FieldString(cfFieldBaseURL); err != nil {
		return err
	}
	o.BaseURL = cmp.Or(o.BaseURL, baseURL)
	if o.Headers, err = conf.FieldStringMap(cfFieldHeaders); err != nil {
		return err
	}
	for name, value := range o.Headers {
		o.Headers[name] = withoutLineEnd(cfFieldHeaders+"."+name, value, res.Logger())
	}
	if o.Timeout, err = positiveDuration(conf, cfFieldTimeout); err != nil {
		return err
	}
	if o.Retry.InitialInterval, err = positiveDuration(conf, cfFieldRetry, cfFieldInitialInterval); err != nil {
		return err
	}
	if o.Retry.MaxInterval, err = positiveDuration(conf, cfFieldRetry, cfFieldMaxInterval); err != nil {
		return err
	}
	if o.Retry.MaxElapsedTime, err = conf.FieldDuration(cfFieldRetry, cfFieldMaxElapsedTime); err != nil {
		return err
	}
	if o.Retry.MaxElapsedTime < 0 {
		return fmt.Errorf("%s: must not be negative", cfFieldMaxElapsedTime)
	}
	if c.limit, err = rateLimitFromParsed(conf, res, cfFieldRateLimit); err != nil {
		return err
	}
	c.reportWaits(res.Logger())
	if o.Transport, err = sharedTransport(conf, *o, keyFile); err != nil {
		return err
	}
	if c.api, err = apiOf(*o, keyFile); err != nil {
		return err
	}
	requests := res.Metrics().NewCounter(words.MetricRequests, "operation", "status")
	latency := res.Metrics().NewTimer(words.MetricRequestLatency, "operation")
	o.OnRequest = func(op string, status int, took time.Duration) {
		requests.Incr(1, op, strconv.Itoa(status))
		latency.Timing(took.Nanoseconds(), op)
	}
	c.logChanges(res.Logger())
	return nil
}

// keyFromParsed reads the key, or else names its file.
func (c *clientConfig) keyFromParsed(conf *service.ParsedConfig, res *service.Resources) (file string, err error) {
	if c.options.APIKey, err = conf.FieldString(cfFieldAPIKey); err != nil {
		return "", err
	}
	c.options.APIKey = withoutLineEnd(cfFieldAPIKey, c.options.APIKey, res.Logger())
	if file, err = conf.FieldString(cfFieldAPIKeyFile); err != nil {
		return "", err
	}
	switch {
	case c.options.APIKey == "" && file == "" && c.keyless:
		return "", nil
	case c.options.APIKey == "" && file == "":
		return "", fmt.Errorf("%s: must not be empty, unless %s is set", cfFieldAPIKey, cfFieldAPIKeyFile)
	case file == "":
		return "", nil
	case c.options.APIKey != "":
		return "", fmt.Errorf("%s and %s: only one of them may be set", cfFieldAPIKey, cfFieldAPIKeyFile)
	}
	keys, err := openKeyFile(file, res.Logger())
	if err != nil {
		return "", fmt.Errorf("%s: %w", cfFieldAPIKeyFile, err)
	}
	c.options.APIKeys, c.notices = keys.keys, append(c.notices, keys.trouble)
	return file, nil
}

// close ends the reminders of trouble that lasts: nothing waits any more.
func (c clientConfig) close() {
	for _, n := range c.notices {
		n.Stop()
	}
	c.paused.close()
}

// client makes a client that waits for the rate limit before each request.
func (c clientConfig) client() (*happyrobot.Client, error) {
	o := c.options
	if c.limit != nil {
		o.Wait = c.limit.wait
	}
	return happyrobot.New(o)
}

// unlimited makes a client whose user waits for the rate limit itself.
func (c clientConfig) unlimited() (*happyrobot.Client, error) {
	return happyrobot.New(c.options)
}

// reportWaits reports long waits for the rate limit. A component that is paused by them
// reports that instead.
func (c *clientConfig) reportWaits(log pause.Logger) {
	if c.limit == nil {
		return
	}
	waits := pause.NewNotice(log, pause.Wording{
		Begins: "Requests to the API wait (" + words.CauseRateLimited + "): %v",
		Lasts:  "Requests to the API have been waiting (" + words.CauseRateLimited + ") since %s: %v",
		Ends:   "Requests to the API no longer wait (" + words.CauseRateLimited + "), after %v.",
	}, c.paused.counts(words.CauseRateLimited))
	c.notices = append(c.notices, waits)
	c.limit.reportTo(waits)
}

// logChanges reports when requests begin to be repeated, and when none of them is any
// more. Clients of one component share the notice.
func (c *clientConfig) logChanges(log pause.Logger) {
	trouble := pause.NewNotice(log, pause.Wording{
		Begins: "API request failed; retrying %v",
		Lasts:  "API requests have been failing since %s; retrying %v",
		Ends:   "API requests are answered again, after %v.",
	}, nil)
	c.notices = append(c.notices, trouble)
	c.options.OnRepeat = func(string) (failed func(error, time.Duration), ended func(error)) {
		w, waits := trouble.Waiter(), c.paused.wait() // one that gives up says so with its message
		return func(err error, _ time.Duration) {
				cause := causeOf(err)
				waits(cause)
				w.Trouble(fmt.Errorf("(%s): %w", cause, err))
			}, func(err error) {
				waits("")
				if err == nil {
					w.Recovered()
				} else {
					w.Stop()
				}
			}
	}
}

// choice reads one of a few words. Benthos' linter ignores case, so a word that it
// accepts must be accepted here, too.
func choice(conf *service.ParsedConfig, field string, words ...string) (string, error) {
	given, err := conf.FieldString(field)
	if err != nil {
		return "", err
	}
	for _, word := range words {
		if strings.EqualFold(word, given) {
			return word, nil
		}
	}
	return "", fmt.Errorf("%s: must be one of %q", field, words)
}

func positiveDuration(conf *service.ParsedConfig, path ...string) (time.Duration, error) {
	d, err := conf.FieldDuration(path...)
	if err == nil && d <= 0 {
		return 0, fmt.Errorf("%s: must be longer than 0s", path[len(path)-1])
	}
	return d, err
}

// transports holds one connection pool for each base URL, key or its file, and TLS setting
// of this process, for as long as it lives: streams come and go, the host stays.
var transports sync.Map

func sharedTransport(conf *service.ParsedConfig, o happyrobot.Options, keyFile string) (http.RoundTripper, error) {
	tlsConf, enabled, err := conf.FieldTLSToggled(cfFieldTLS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfFieldTLS, err)
	}
	if !enabled {
		tlsConf = nil
	}
	setting, err := conf.FieldAny(cfFieldTLS)
	if err != nil {
		return nil, err
	}
	key, err := accessKey(o, keyFile, setting)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cfFieldTLS, err)
	}
	pool, _ := transports.LoadOrStore(key, happyrobot.NewTransport(tlsConf))
	return pool.(*http.Transport), nil
}

// apiOf names what the answers of an API depend on: where it is, the key, and headers,
// which may name an organization.
func apiOf(o happyrobot.Options, keyFile string) ([sha256.Size]byte, error) {
	key, err := accessKey(o, keyFile, o.Headers)
	if err != nil {
		return key, fmt.Errorf("%s: %w", cfFieldHeaders, err)
	}
	return key, nil
}

// accessKey names an API, a key to it, and what else tells two users of them apart. A base
// URL is the same with a slash at its end.
func accessKey(o happyrobot.Options, keyFile string, further any) (key [sha256.Size]byte, err error) {
	written, err := json.Marshal([]any{strings.TrimRight(o.BaseURL, "/"), o.APIKey, keyFile, further})
	if err != nil {
		return key, err
	}
	return sha256.Sum256(written), nil
}
