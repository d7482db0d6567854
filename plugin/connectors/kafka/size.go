package kafka

import (
	"fmt"
	"math"

	"github.com/dustin/go-humanize"
	"github.com/redpanda-data/benthos/v4/public/service"
)

// sizeFromParsed reads a field that is a number of bytes, such as 1MiB, which the
// protocol limits to 31 bits.
func sizeFromParsed(conf *service.ParsedConfig, field string) (int32, error) {
	text, err := conf.FieldString(field)
	if err != nil {
		return 0, err
	}
	size, err := humanize.ParseBytes(text)
	if err != nil {
		return 0, fmt.Errorf("field %s: %q is not a size such as 1MiB", field, text)
	}
	if size > math.MaxInt32 {
		return 0, fmt.Errorf("field %s: %s is more than the largest size, 2GiB less one byte", field, text)
	}
	return int32(size), nil
}
