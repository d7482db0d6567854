package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// trouble is an error in words that say what to do about its cause.
type trouble struct {
	text string
	err  error // the client's own
}

func (t *trouble) Error() string { return t.text }
func (t *trouble) Unwrap() error { return t.err }

// handshakeError is a broker that was reached and did not agree on TLS.
type handshakeError struct {
	address string
	err     error
}

func (e *handshakeError) Error() string {
	return "TLS handshake with " + e.address + ": " + e.err.Error()
}
func (e *handshakeError) Unwrap() error { return e.err }

// refusedError is a broker that closed the connection instead of an answer to credentials,
// as some do that refuse them.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return "authenticating: " + e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// strangeError is a broker that was reached, and that gave no answer in time or one that is
// none in Kafka's protocol.
type strangeError struct {
	address string
	seed    bool // the address is of seed_brokers; else the cluster named it
	err     error
}

func (e *strangeError) Error() string { return e.address + ": " + e.err.Error() }
func (e *strangeError) Unwrap() error { return e.err }

// isSilence reports whether a broker did not answer in time.
func isSilence(err error) bool {
	if _, handshake := errors.AsType[*handshakeError](err); handshake || isDial(err) {
		return false
	}
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// isNonsense reports whether an answer is none in Kafka's protocol. The library has no types
// for that.
func isNonsense(err error) bool {
	text := err.Error()
	for _, sign := range []string{"invalid large response size", "invalid negative response size", "correlation ID mismatch"} {
		if strings.Contains(text, sign) {
			return !isTLSAlert(err)
		}
	}
	return errors.Is(err, kbin.ErrNotEnoughData)
}

// isHangup reports whether an error says only that a connection ended.
func isHangup(err error) bool {
	if _, first := errors.AsType[*kgo.ErrFirstReadEOF](err); first {
		return false // the library knows what that means
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// explain says what an error of the client means for whoever runs the pipeline. An error
// that needs no explanation is returned as it is.
func (c *connection) explain(err error) error {
	if err == nil {
		return nil
	}
	if _, done := errors.AsType[*trouble](err); done {
		return err
	}
	if text := c.words(err); text != "" {
		return &trouble{text: unstopped(text), err: err}
	}
	return quote(err)
}

// quote takes the full stop off an error, since the sentence that quotes it has its own.
func quote(err error) error {
	if text := unstopped(err.Error()); text != err.Error() {
		return &quotation{text: text, err: err}
	}
	return err
}

func unstopped(text string) string { return strings.TrimRight(text, ". ") }

// quotation is an error of others without its full stop. It explains nothing.
type quotation struct {
	text string
	err  error
}

func (q *quotation) Error() string { return q.text }
func (q *quotation) Unwrap() error { return q.err }

// isNoStart reports whether a partition is not read, since there is no offset to start
// from. The library has no type for one of the two reasons.
func isNoStart(err error) bool {
	return errors.Is(err, kerr.OffsetOutOfRange) || strings.Contains(err.Error(), "no prior committed offset")
}

// explainStart is explain for isNoStart.
func (c *inputConfig) explainStart(key topicPartition, err error) error {
	why := fmt.Sprintf("the group %s has committed no offset for it", c.group)
	remedy := fmt.Sprintf("set `start_offset` to %s or %s, or the group's offset (kafka-consumer-groups --reset-offsets, while no member runs)", startEarliest, startLatest)
	if errors.Is(err, kerr.OffsetOutOfRange) {
		why = "the offset to go on from is out of range: retention deleted its record, or the partition ends before it"
	}
	if c.group == "" {
		remedy = fmt.Sprintf("set `start_offset` to %s or %s, or name another offset in `topics`", startEarliest, startLatest)
	}
	return &trouble{text: fmt.Sprintf("partition %s/%d is not read. Reason: %s, and `start_offset` %s allows no other. What to do: %s", key.topic, key.partition, why, startCommitted, remedy), err: err}
}

// explainTopic is explain where the error is of one topic.
func (c *connection) explainTopic(topic string, err error) error {
	var text string
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		text = fmt.Sprintf("topic %q does not exist, or this user may not see it; create it, or check its name and the ACLs", topic)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		text = fmt.Sprintf("not authorized for topic %q; check the ACLs of this user", topic)
	case errors.Is(err, kerr.InvalidTopicException):
		text = fmt.Sprintf("%q is not a name for a topic: letters, digits, dots, underscores and hyphens are allowed, and 249 of them at most", topic)
	default:
		return c.explain(err)
	}
	return &trouble{text: text, err: err}
}

func (c *connection) words(err error) string {
	var handshake *handshakeError
	var first *kgo.ErrFirstReadEOF
	var refused *refusedError
	var strange *strangeError
	switch {
	case errors.As(err, &refused):
		return "the broker closed the connection while the client authenticated, as it does when it refuses the credentials; check `sasl.username` and `sasl.password`, or `sasl.token`"
	case errors.As(err, &handshake):
		return handshakeWords(handshake)
	case errors.As(err, &first) && strings.Contains(first.Error(), "SASL"):
		if len(c.sasl) == 0 {
			return "the broker closed the connection after the first request, which it does to clients that do not authenticate; check whether it expects `sasl`"
		}
		return "the broker closed the connection after the first request; check `sasl`, and the broker's log"
	case errors.As(err, &first), c.tls == nil && isTLSAlert(err):
		if c.tls == nil {
			return "the broker closed the connection at once, which a port for TLS does when the client does not use it; set `tls.enabled` to true, or use a port without TLS"
		}
		return "the broker closed the TLS connection at once; check `tls.client_certs`, and the broker's log"
	case strings.Contains(err.Error(), "remote error: tls:"): // the library has no type for it
		return fmt.Sprintf("the broker refused the TLS connection; check `tls.client_certs`: %v", err)
	case errors.As(err, &strange):
		return strangeWords(strange)
	case isDial(err):
		return c.dialWords(err)
	}
	return c.answerWords(err)
}

func strangeWords(e *strangeError) string {
	what := "answers, but not in Kafka's protocol"
	if isSilence(e.err) {
		what = "accepts connections, but does not answer"
	}
	if !e.seed {
		return fmt.Sprintf("broker %s %s; check whether it hangs, and the network to it", e.address, what)
	}
	return fmt.Sprintf("%s, an address in `seed_brokers`, %s. Is this Kafka? Check the host and the port, whether the port is one for TLS, and whether the broker hangs", e.address, what)
}

func handshakeWords(e *handshakeError) string {
	var record tls.RecordHeaderError
	var untrusted *tls.CertificateVerificationError
	switch {
	case errors.As(e.err, &untrusted):
		return fmt.Sprintf("the certificate of broker %s is not trusted; check `tls.root_cas_file`, and that the address is a name in the certificate: %v", e.address, untrusted.Err)
	case errors.As(e.err, &record), errors.Is(e.err, io.EOF), errors.Is(e.err, syscall.ECONNRESET), errors.Is(e.err, context.DeadlineExceeded):
		return fmt.Sprintf("broker %s does not speak TLS on this port; use its port for TLS, or set `tls.enabled` to false", e.address)
	default:
		return fmt.Sprintf("broker %s and this client do not agree on TLS; check `tls`: %v", e.address, e.err)
	}
}

// isTLSAlert recognizes the answer of a port for TLS to a client without it, which reads
// as a response of absurd size. The library has no type for it.
func isTLSAlert(err error) bool {
	return strings.Contains(err.Error(), "tls alert record")
}

func isDial(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// dialWords tells a cluster that is away from one whose brokers are known by addresses
// that cannot be reached from here.
func (c *connection) dialWords(err error) string {
	op, _ := errors.AsType[*net.OpError](err)
	seeds := strings.Join(c.seeds, ", ")
	if op.Addr == nil || c.isSeed(op.Addr.String()) {
		return fmt.Sprintf("no broker can be reached (`seed_brokers`: %s): %v", seeds, op.Err)
	}
	return fmt.Sprintf("broker %s cannot be reached (`seed_brokers`: %s): %v. If it runs, check that the address which it advertises (advertised.listeners) can be reached from here", op.Addr, seeds, op.Err)
}

// isSeed reports whether an address that was dialed is one of the seeds. A seed that is
// given by name is dialed by number, so only seeds that are all numbers can be told apart.
func (c *connection) isSeed(address string) bool {
	return slices.ContainsFunc(c.seeds, func(seed string) bool {
		host, port, err := net.SplitHostPort(seed)
		if err != nil {
			host, port = seed, "9092"
		}
		return net.ParseIP(host) == nil || net.JoinHostPort(host, port) == address
	})
}

// answerWords are for answers of a broker.
func (c *connection) answerWords(err error) string {
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "the broker refused the credentials; check `sasl.username` and `sasl.password`, or `sasl.token`"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		names := make([]string, len(c.sasl))
		for i, mechanism := range c.sasl {
			names[i] = mechanism.Name()
		}
		return fmt.Sprintf("the broker does not support the mechanism %s; check `sasl.mechanism`", strings.Join(names, " or "))
	case errors.Is(err, kerr.IllegalSaslState):
		return "the broker does not expect authentication on this port; use its port for SASL, or remove `sasl`"
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "not authorized for this operation on the cluster; check the ACLs of this user (idempotent writes need IDEMPOTENT_WRITE on old clusters; else set `idempotent_write` to false)"
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return "not authorized for the consumer group; check the ACLs of this user and `consumer_group`"
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return "not authorized for a topic; check the ACLs of this user"
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return "a topic does not exist, or this user may not see it; create it, or check its name and the ACLs"
	case errors.Is(err, kerr.NotEnoughReplicas), errors.Is(err, kerr.NotEnoughReplicasAfterAppend):
		return "too few replicas of a partition are in sync (min.insync.replicas); wait for the brokers that are down, or start them"
	case errors.Is(err, kerr.FencedInstanceID):
		return "another consumer of the group has the same `instance_id`; give each its own"
	case errors.Is(err, kerr.InvalidSessionTimeout):
		return "the broker does not allow this `session_timeout`; see its settings group.min.session.timeout.ms and group.max.session.timeout.ms"
	case errors.Is(err, kerr.UnsupportedVersion):
		return fmt.Sprintf("the broker is too old for this request: %v", err)
	}
	return ""
}
