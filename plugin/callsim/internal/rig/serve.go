package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
)

// ListenOn listens on an address such as 127.0.0.1:0.
func ListenOn(address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	return l, nil
}

// Servers serve one API on its listeners.
type Servers struct {
	all  []*http.Server
	done chan error
}

// Serve serves an API, until Close.
func Serve(api http.Handler, listeners ...net.Listener) *Servers {
	s := &Servers{done: make(chan error, len(listeners))}
	for _, l := range listeners {
		server := &http.Server{Handler: api} //nolint:gosec // a test bed: slow clients are its own
		s.all = append(s.all, server)
		go func() { s.done <- server.Serve(l) }()
	}
	return s
}

// Close cuts all connections and returns when the listeners have ended. It may be called twice.
func (s *Servers) Close() (err error) {
	for _, server := range s.all {
		err = errors.Join(err, server.Close())
	}
	for range s.all {
		if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
	}
	for range s.all {
		s.done <- http.ErrServerClosed // a second Close finds them ended
	}
	return err
}
