package plugin

import "github.com/redpanda-data/benthos/v4/public/service"

// fromZero gives a counter with a label all its series, so that an alert can tell "none"
// from "not there", and a rate does not miss the first.
func fromZero(c *service.MetricCounter, values ...string) *service.MetricCounter {
	for _, value := range values {
		c.Incr(0, value)
	}
	return c
}
