package plugin

import (
	"fmt"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/dialer"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/words"
)

// mostSkew is how far the API's clock may be from ours without a word.
const mostSkew = time.Hour

// clockReport reports how far the API's clock is from ours: as a metric, and in the log
// where somebody has to set one of the two.
type clockReport struct {
	clock  *dialer.Clock
	gauge  *service.MetricGauge
	notice *pause.Notice
}

func newClockReport(res *service.Resources, clock *dialer.Clock) *clockReport {
	r := &clockReport{
		clock: clock,
		gauge: res.Metrics().NewGauge(words.MetricClockSkew),
		notice: pause.NewNotice(res.Logger(), pause.Wording{
			Begins: "The clocks of the API and of this machine are far apart, so look-ups of calls in doubt go back as far: %v",
			Lasts:  "The clocks of the API and of this machine have been far apart since %s: %v",
			Ends:   "The clocks of the API and of this machine agree again, after %v.",
		}, nil),
	}
	r.gauge.Set(0)
	return r
}

// sawDate takes the Date of an answer.
func (r *clockReport) sawDate(date, sent, received time.Time) {
	r.clock.SawDate(date, sent, received)
	r.report(r.clock.Skew())
}

// report reports the API's clock less ours.
func (r *clockReport) report(skew time.Duration) {
	r.gauge.Set(int64(skew.Round(time.Second) / time.Second))
	if skew.Abs() <= mostSkew {
		r.notice.Recovered()
		return
	}
	side := "ahead of"
	if skew < 0 {
		side = "behind"
	}
	r.notice.Trouble(fmt.Errorf("the API's is %v %s ours", skew.Abs().Round(time.Second), side))
}

func (r *clockReport) close() { r.notice.Stop() }
