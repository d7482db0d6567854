package webhook

import (
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
)

// readBody reads the body of a request, compressed or not. Neither what is sent nor what
// comes of it may be larger than most.
func readBody(w http.ResponseWriter, req *http.Request, most int) ([]byte, Result) {
	var body io.Reader = http.MaxBytesReader(w, req.Body, int64(most))
	if encoding(req) == encodingGzip {
		compressed, err := gzip.NewReader(body)
		if err != nil {
			return nil, unreadBody(err)
		}
		body = compressed
	}
	read, err := io.ReadAll(io.LimitReader(body, int64(most)+1))
	switch {
	case err != nil:
		return nil, unreadBody(err)
	case len(read) > most:
		return nil, TooLarge
	}
	return read, ""
}

// Encodings of a body.
const (
	encodingNone  = ""
	encodingGzip  = "gzip"
	encodingOther = "other"
)

func encoding(req *http.Request) string {
	given := strings.Join(req.Header.Values("Content-Encoding"), ",")
	switch strings.ToLower(strings.TrimSpace(given)) {
	case "", "identity":
		return encodingNone
	case "gzip", "x-gzip":
		return encodingGzip
	}
	return encodingOther
}

func unreadBody(err error) Result {
	var large *http.MaxBytesError
	var corrupt flate.CorruptInputError
	switch {
	case errors.As(err, &large):
		return TooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Slow
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return BadEncoding
	}
	return Cut
}
