package plugin

import "github.com/redpanda-data/benthos/v4/public/service"

// batchError reports each message's own error, or a plain nil. Messages without
// an error count as delivered.
func batchError(batch service.MessageBatch, errs []error) error {
	var all *service.BatchError
	for i, err := range errs {
		if err == nil {
			continue
		}
		if all == nil {
			all = service.NewBatchError(batch, err)
		}
		_ = all.Failed(i, &messageError{err: err, batch: all})
	}
	if all == nil {
		return nil
	}
	return all
}

// messageError is one message's error that also leads to its neighbours'. The
// batching of an output hands back one error for all messages that came in
// together; without the way to the others, a fallback would take the called
// neighbours of one bad lead for failed.
type messageError struct {
	err   error
	batch *service.BatchError
}

func (e *messageError) Error() string   { return e.err.Error() }
func (e *messageError) Unwrap() []error { return []error{e.err, e.batch} }
