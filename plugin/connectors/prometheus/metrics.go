// Package prometheus adds the metrics exporter prometheus to Benthos, with the fields of
// the one that Redpanda Connect has.
package prometheus

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redpanda-data/benthos/v4/public/service"
)

const (
	mpFieldUseHistogramTiming = "use_histogram_timing"
	mpFieldHistogramBuckets   = "histogram_buckets"
	mpFieldQuantiles          = "summary_quantiles_objectives"
	mpFieldQuantile           = "quantile"
	mpFieldError              = "error"
	mpFieldAddProcessMetrics  = "add_process_metrics"
	mpFieldAddGoMetrics       = "add_go_metrics"
	mpFieldPushURL            = "push_url"
	mpFieldPushInterval       = "push_interval"
	mpFieldPushJobName        = "push_job_name"
	mpFieldPushBasicAuth      = "push_basic_auth"
	mpFieldUsername           = "username"
	mpFieldPassword           = "password"
	mpFieldFileOutputPath     = "file_output_path"
)

//go:embed metrics_prometheus.md
var prose string

func init() {
	service.MustRegisterMetricsExporter("prometheus", spec(), func(conf *service.ParsedConfig, log *service.Logger) (service.MetricsExporter, error) {
		c, err := configFromParsed(conf)
		if err != nil {
			return nil, err
		}
		return newExporter(c, log)
	})
}

func spec() *service.ConfigSpec {
	return service.NewConfigSpec().
		Stable().
		Summary("Serves metrics for Prometheus to scrape, at `/metrics` and `/stats`.").
		Description(prose).
		Fields(
			service.NewBoolField(mpFieldUseHistogramTiming).
				Description("Export timers as histograms, in seconds. Otherwise they are summaries, in nanoseconds.").
				Default(false).Advanced(),
			service.NewFloatListField(mpFieldHistogramBuckets).
				Description("The upper bounds of a histogram's buckets in seconds, each larger than the one before. Empty means 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5 and 10. Only with `use_histogram_timing`.").
				Default([]any{}).Advanced(),
			service.NewObjectListField(mpFieldQuantiles,
				service.NewFloatField(mpFieldQuantile).
					Description("The quantile, from 0 to 1.").
					Default(0),
				service.NewFloatField(mpFieldError).
					Description("By how much the quantile may be off, from 0 to 1: with the quantile 0.9 and the error 0.01, the value lies between the quantiles 0.89 and 0.91. Smaller errors take more memory.").
					Default(0),
			).
				Description("The quantiles of a summary. Empty means the default. Not with `use_histogram_timing`.").
				Default([]any{
					map[string]any{mpFieldQuantile: 0.5, mpFieldError: 0.05},
					map[string]any{mpFieldQuantile: 0.9, mpFieldError: 0.01},
					map[string]any{mpFieldQuantile: 0.99, mpFieldError: 0.001},
				}).Advanced(),
			service.NewBoolField(mpFieldAddProcessMetrics).
				Description("Export metrics of the process, too: CPU, memory, open files (`process_*`).").
				Default(false).Advanced(),
			service.NewBoolField(mpFieldAddGoMetrics).
				Description("Export metrics of the Go runtime, too: garbage collection, goroutines (`go_*`).").
				Default(false).Advanced(),
			service.NewURLField(mpFieldPushURL).
				Description("The URL of a Pushgateway, without `/metrics/job/...`, that gets all metrics when the stream ends, and every `push_interval`. A user name and password in it are sent as `push_basic_auth`.").
				Example("http://pushgateway:9091").
				Optional().Advanced(),
			service.NewStringField(mpFieldPushInterval).
				Description("The time between two pushes. Without it there is one push, at the end. Only with `push_url`.").
				Example("30s").
				Optional().Advanced(),
			service.NewStringField(mpFieldPushJobName).
				Description("The name of the job whose metrics are pushed.").
				Default("benthos_push").Advanced(),
			service.NewObjectField(mpFieldPushBasicAuth,
				service.NewStringField(mpFieldUsername).
					Description("The user's name.").
					Default("").Advanced(),
				service.NewStringField(mpFieldPassword).
					Description("The user's password.").
					Secret().
					Default("").Advanced(),
			).
				Description("Basic authentication at the Pushgateway. Only with both members.").
				Advanced(),
			service.NewStringField(mpFieldFileOutputPath).
				Description("A file to which all metrics are written when the stream ends.").
				Default("").Advanced(),
		)
}

// config is what the fields say.
type config struct {
	histograms                bool
	buckets                   []float64
	quantiles                 map[float64]float64 // and their errors
	processMetrics, goMetrics bool
	pushURL, pushJob          string
	pushUser, pushPassword    string
	pushEvery                 time.Duration // 0: only at the end
	file                      string
}

func configFromParsed(conf *service.ParsedConfig) (c config, err error) {
	if c.histograms, err = conf.FieldBool(mpFieldUseHistogramTiming); err != nil {
		return c, err
	}
	if c.buckets, err = bucketsFromParsed(conf); err != nil {
		return c, err
	}
	if c.quantiles, err = quantilesFromParsed(conf); err != nil {
		return c, err
	}
	if c.processMetrics, err = conf.FieldBool(mpFieldAddProcessMetrics); err != nil {
		return c, err
	}
	if c.goMetrics, err = conf.FieldBool(mpFieldAddGoMetrics); err != nil {
		return c, err
	}
	if c.file, err = conf.FieldString(mpFieldFileOutputPath); err != nil {
		return c, err
	}
	if conf.Contains(mpFieldPushURL) {
		err = c.pushFromParsed(conf)
	}
	return c, err
}

func bucketsFromParsed(conf *service.ParsedConfig) ([]float64, error) {
	buckets, err := conf.FieldFloatList(mpFieldHistogramBuckets)
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(buckets); i++ {
		if !(buckets[i-1] < buckets[i]) {
			return nil, fmt.Errorf("%s: each bound must be larger than the one before, and %v is not", mpFieldHistogramBuckets, buckets[i])
		}
	}
	if len(buckets) == 0 {
		return prometheus.DefBuckets, nil
	}
	return buckets, nil
}

func quantilesFromParsed(conf *service.ParsedConfig) (map[float64]float64, error) {
	list, err := conf.FieldObjectList(mpFieldQuantiles)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return map[float64]float64{0.5: 0.05, 0.9: 0.01, 0.99: 0.001}, nil
	}
	quantiles := map[float64]float64{}
	for _, object := range list {
		quantile, err := object.FieldFloat(mpFieldQuantile)
		if err != nil {
			return nil, err
		}
		most, err := object.FieldFloat(mpFieldError)
		if err != nil {
			return nil, err
		}
		for _, value := range []float64{quantile, most} {
			if !(value >= 0 && value <= 1) {
				return nil, fmt.Errorf("%s: %s and %s must be from 0 to 1, and %v is not", mpFieldQuantiles, mpFieldQuantile, mpFieldError, value)
			}
		}
		quantiles[quantile] = most
	}
	return quantiles, nil
}

func (c *config) pushFromParsed(conf *service.ParsedConfig) error {
	address, err := conf.FieldString(mpFieldPushURL)
	if err != nil || address == "" {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return errors.New(mpFieldPushURL + ": is not a URL") // the error has it, maybe with a password
	}
	if u.User != nil { // or it would stand in errors
		c.pushUser = u.User.Username()
		c.pushPassword, _ = u.User.Password()
		u.User = nil
		address = u.String()
	}
	c.pushURL = address
	if c.pushJob, err = conf.FieldString(mpFieldPushJobName); err != nil {
		return err
	}
	if c.pushJob == "" {
		return errors.New(mpFieldPushJobName + ": must not be empty")
	}
	user, err := conf.FieldString(mpFieldPushBasicAuth, mpFieldUsername)
	if err != nil {
		return err
	}
	password, err := conf.FieldString(mpFieldPushBasicAuth, mpFieldPassword)
	if err != nil {
		return err
	}
	if user != "" && password != "" {
		c.pushUser, c.pushPassword = user, password
	}
	if !conf.Contains(mpFieldPushInterval) {
		return nil
	}
	text, err := conf.FieldString(mpFieldPushInterval)
	if err != nil || text == "" {
		return err
	}
	if c.pushEvery, err = time.ParseDuration(text); err != nil {
		return fmt.Errorf("%s: %w", mpFieldPushInterval, err)
	}
	if c.pushEvery <= 0 {
		return errors.New(mpFieldPushInterval + ": must be longer than 0s")
	}
	return nil
}
