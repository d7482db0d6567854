package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/benthos-happyrobot/benthos-happyrobot/plugin/internal/pause"
)

const (
	idleTimeout    = 60 * time.Second // of a connection without requests
	grace          = 5 * time.Second  // for answers to be written at the end
	maxHeaderBytes = 16 << 10
)

// Logger is told what happens to the server.
type Logger interface {
	pause.Logger
	Debugf(format string, args ...any)
	Errorf(format string, args ...any)
}

// ServerOptions say where and how to listen.
type ServerOptions struct {
	Address     string
	TLS         *tls.Config   // nil for none
	ReadTimeout time.Duration // for a request to arrive
	Timeout     time.Duration // for the handler to answer it
	Connections int           // the most at once
	Log         Logger
}

// Server listens until it is closed, or until connections cannot be accepted any more.
type Server struct {
	url   string
	http  *http.Server
	ended chan struct{}

	crowded *pause.Tally // connections closed to make room
	refused *pause.Tally // connections for which there was none
}

// Listen begins to listen. ctx ends only the attempt to.
func Listen(ctx context.Context, o ServerOptions, handler http.Handler) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Address)
	if err != nil {
		return nil, err
	}
	// HTTP/1.1 only, as the client: one request at a time and connection is easy
	// to bound.
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s := &Server{
		url: "http://" + listener.Addr().String(),
		http: &http.Server{
			Handler:           handler,
			TLSConfig:         o.TLS,
			Protocols:         &protocols,
			ReadHeaderTimeout: o.ReadTimeout,
			ReadTimeout:       o.ReadTimeout,
			WriteTimeout:      o.ReadTimeout + o.Timeout + grace,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          log.New(debugLog{o.Log}, "", 0),
			ConnContext:       withConnection,
		},
		ended: make(chan struct{}),
		crowded: pause.NewTally(o.Log,
			fmt.Sprintf("A connection was closed to make room for another: all %d (`max_connections`) are taken. Those that wait without a request are closed first.", o.Connections),
			"Closed %d more connections to make room for others (`max_connections`) in the last %s."),
		refused: pause.NewTally(o.Log,
			fmt.Sprintf("A connection was refused: all %d (`max_connections`) serve senders who know the secret.", o.Connections),
			"Refused %d more connections in the last %s: all (`max_connections`) serve senders who know the secret."),
	}
	listener = bounded{listener, newConnections(o.Connections, s.crowded.Count, s.refused.Count)}
	serve := s.http.Serve
	if o.TLS != nil {
		s.url = "https://" + listener.Addr().String()
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	go func() {
		defer close(s.ended)
		defer s.crowded.Stop()
		defer s.refused.Stop()
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Errorf("Listening for events ended: %v", err)
		}
	}()
	return s, nil
}

// URL is where the server listens, without a path.
func (s *Server) URL() string { return s.url }

// Ended is closed when the server does not accept connections any more.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Abort closes the server and its connections, answered or not.
func (s *Server) Abort() { _ = s.http.Close() }

// Close lets answers be written, for a while, and closes the server.
func (s *Server) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.Abort() // a client reads or writes very slowly
	}
	<-s.ended
}

// debugLog takes what net/http has to say of single connections: strangers must
// not be able to fill the log.
type debugLog struct{ log Logger }

func (l debugLog) Write(p []byte) (int, error) {
	l.log.Debugf("%s", strings.TrimSpace(string(p)))
	return len(p), nil
}
