package webhook

import (
	"bytes"
	"crypto/tls"
	"os"
	"sync"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

// certificateRest is how often the files of a certificate are read at most. They are read
// whole: the times of a mounted secret need not change with it.
const certificateRest = time.Second

var certificateTrouble = pause.Wording{
	Begins: "Certificate files cannot be used, so the last certificate is still served: %v",
	Lasts:  "Certificate files still cannot be used, since %s; the last certificate is still served: %v",
	Ends:   "Certificate files can be used again, after %v.",
}

// Certificate is a server's certificate in two files, which are read again when they change.
type Certificate struct {
	certFile, keyFile string
	log               pause.Logger
	trouble           *pause.Notice

	mu      sync.Mutex
	readAt  time.Time
	current pair
}

// pair is a certificate, and the files that it was made of.
type pair struct {
	cert, key []byte
	made      *tls.Certificate
}

// LoadCertificate reads a certificate for the first time. Stop ends what it reports.
func LoadCertificate(certFile, keyFile string, log pause.Logger) (*Certificate, error) {
	c := &Certificate{
		certFile: certFile, keyFile: keyFile, log: log,
		trouble: pause.NewNotice(log, certificateTrouble, nil), readAt: time.Now(),
	}
	var err error
	c.current, _, err = c.load(pair{})
	return c, err
}

// Config serves the certificate that the files hold at the time of each handshake.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
		MinVersion:     tls.VersionTLS12,
	}
}

// Stop ends the notice of trouble that lasts.
func (c *Certificate) Stop() { c.trouble.Stop() }

func (c *Certificate) get() *tls.Certificate {
	c.mu.Lock()
	due := time.Since(c.readAt) >= certificateRest
	if due {
		c.readAt = time.Now() // meanwhile others use what is known
	}
	now := c.current
	c.mu.Unlock()
	if !due {
		return now.made
	}
	next, changed, err := c.load(now)
	if err != nil {
		c.trouble.Trouble(err)
		return now.made
	}
	if changed {
		c.mu.Lock()
		c.current = next
		c.mu.Unlock()
		c.log.Infof("Certificate replaced: %q has a new one.", c.certFile)
	}
	c.trouble.Recovered()
	return next.made
}

func (c *Certificate) load(known pair) (next pair, changed bool, err error) {
	if next.cert, err = os.ReadFile(c.certFile); err != nil {
		return known, false, err
	}
	if next.key, err = os.ReadFile(c.keyFile); err != nil {
		return known, false, err
	}
	if bytes.Equal(next.cert, known.cert) && bytes.Equal(next.key, known.key) {
		return known, false, nil
	}
	made, err := tls.X509KeyPair(next.cert, next.key)
	if err != nil {
		return known, false, err
	}
	next.made = &made
	return next, true, nil
}
