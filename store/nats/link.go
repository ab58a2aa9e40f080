package natsstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// errOffline is wrapped by errors of calls without a connection, or whose connection was lost.
var errOffline = errors.New("there is no connection to NATS")

// link is one connection to a server, from one reconnection to the next, or the time between two.
type link struct {
	connected bool
	lost      context.Context // of a connection: canceled when it is lost
	cancel    context.CancelFunc
	changed   chan struct{} // closed when there is another link
}

func newLink(connected bool) *link {
	l := &link{connected: connected, changed: make(chan struct{})}
	l.lost, l.cancel = context.WithCancel(context.Background())
	return l
}

// followStatus keeps s.link until the connection is closed.
func (s *Store) followStatus(status <-chan nats.Status) {
	for event := range status {
		// The event may be old, and the one after it may not have arrived. It only shows that a
		// connection was lost: whether there is one now is looked up.
		if event != nats.CONNECTED {
			s.replaceLink(false)
		}
		if s.conn.IsConnected() {
			s.replaceLink(true)
		}
		if s.conn.IsClosed() {
			s.replaceLink(false)
			return
		}
	}
}

// replaceLink begins another link. It cancels the requests of a connection that was lost: their answers
// do not come any more.
func (s *Store) replaceLink(connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link.connected && connected {
		return // the event of this connection itself
	}
	s.link.cancel()
	close(s.link.changed)
	s.link = newLink(connected)
}

// currentLink returns the current link.
func (s *Store) currentLink() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// request returns the context of one request. It fails at once without a connection, and when the connection is lost.
func (s *Store) request(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	l := s.currentLink()
	if !l.connected {
		return nil, nil, s.offline()
	}
	ctx, stop := context.WithTimeout(ctx, timeout)
	ctx, cancel := context.WithCancelCause(ctx)
	unregister := context.AfterFunc(l.lost, func() { cancel(fmt.Errorf("%w: it was lost during the request", errOffline)) })
	return ctx, func() { unregister(); cancel(nil); stop() }, nil
}

// offline returns the reason why there is no connection.
func (s *Store) offline() error {
	if s.conn.IsClosed() {
		return fmt.Errorf("%w: the store was closed", errOffline)
	}
	if err := s.conn.LastError(); err != nil {
		return fmt.Errorf("%w at %s: %w", errOffline, redact(s.config.URL), err)
	}
	return fmt.Errorf("%w at %s", errOffline, redact(s.config.URL))
}
