package webhook

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// connections bounds how many connections are open at once. Anybody can open one and
// say nothing, so those that wait, for a first request or for another one, never keep a
// new one out: where all are taken, the one that has waited longest is closed, and among
// them first those that never showed a secret. Only while each serves a sender who knows
// a secret is the new one refused.
type connections struct {
	most    int
	crowded func() // a connection was closed to make room
	refused func() // a connection was refused, for there was none

	mu   sync.Mutex
	open map[*connection]struct{}
}

// connection is an open one. All of it belongs to the lock of all.
type connection struct {
	net.Conn
	of      *connections
	serving bool // a request of a sender who knows a secret
	known   bool // it has served one
	since   time.Time
}

func newConnections(most int, crowded, refused func()) *connections {
	return &connections{most: most, crowded: crowded, refused: refused, open: map[*connection]struct{}{}}
}

// bounded is a listener whose connections are counted.
type bounded struct {
	net.Listener
	all *connections
}

// Accept waits for a connection for which there is room.
func (b bounded) Accept() (net.Conn, error) {
	for {
		conn, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := b.all.admit(conn); c != nil {
			return c, nil
		}
	}
}

func (a *connections) admit(conn net.Conn) *connection {
	c := &connection{Conn: conn, of: a, since: time.Now()}
	a.mu.Lock()
	var out *connection
	full := len(a.open) >= a.most
	if full {
		out = a.longest()
	}
	if out != nil {
		delete(a.open, out)
	}
	if !full || out != nil {
		a.open[c] = struct{}{}
	}
	a.mu.Unlock()
	if !full {
		return c
	}
	if out == nil {
		a.refused()
		_ = conn.Close()
		return nil
	}
	a.crowded()
	_ = out.Conn.Close()
	return c
}

// longest is the connection that is missed least; nil where all serve. The lock is held.
func (a *connections) longest() (least *connection) {
	for c := range a.open {
		switch {
		case c.serving:
		case least == nil, least.known && !c.known:
			least = c
		case c.known == least.known && c.since.Before(least.since):
			least = c
		}
	}
	return least
}

// Close closes the connection, which then takes no room.
func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

type connectionKey struct{}

// withConnection lets a handler find its connection.
func withConnection(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	return context.WithValue(ctx, connectionKey{}, conn)
}

// serve keeps the connection of a request open until what it returns is called.
func serve(ctx context.Context) (served func()) {
	c, ok := ctx.Value(connectionKey{}).(*connection)
	if !ok {
		return func() {}
	}
	c.note(true)
	return func() { c.note(false) }
}

func (c *connection) note(serving bool) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	c.serving, c.known, c.since = serving, true, time.Now()
}
