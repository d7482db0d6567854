package kafka

import (
	"errors"

	"github.com/redpanda-data/benthos/v4/public/service"
)

// rejectedOf says which messages of a batch an error rejects, nil meaning all of them:
// the error names none, or one that is not of the batch, or its messages have the contexts
// of others (isShifted), so that it would name a neighbour.
func rejectedOf(index *service.Indexer, size int, err error) []bool {
	var each *service.BatchError
	if index == nil || !errors.As(err, &each) || each.IndexedErrors() == 0 {
		return nil
	}
	failed, some, known := make([]bool, size), false, true
	each.WalkMessages(func(_ int, msg *service.Message, _ error) bool { //nolint:staticcheck // what is asked is what the messages themselves say
		known = !isShifted(service.MessageBatch{msg})
		return known
	})
	if !known {
		return nil
	}
	each.WalkMessagesIndexedBy(index, func(i int, _ *service.Message, err error) bool {
		switch {
		case err == nil:
		case i < 0 || i >= size:
			known = false
		default:
			failed[i], some = true, true
		}
		return known
	})
	if !known || !some {
		return nil
	}
	return failed
}
