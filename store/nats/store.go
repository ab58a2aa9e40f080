package natsstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/source"
)

// timeout bounds each request to the server.
const timeout = 5 * time.Second

// Config describes a store.
type Config struct {
	URL   string // of one or more servers, comma-separated: nats://HOST, tls://HOST
	Fleet string // name of the fleet: letters, digits, - and _

	// Replicas is how many servers of a cluster hold each bucket that this store creates: 1, 3 or 5. 0 means 1.
	Replicas int
	// Heartbeat is the interval at which the newest generation is read when no change is announced.
	// It bounds how long a dead connection that neither side has closed stays unnoticed. 0 means 10
	// s.
	Heartbeat time.Duration
	// Options come after those of the store, which reconnect for ever, after at most 300 ms:
	// credentials, certificates and the like.
	Options []nats.Option
}

// Store is a source.Store in NATS. It has one connection. It is safe for concurrent use.
type Store struct {
	config Config
	conn   *nats.Conn
	js     jetstream.JetStream

	mu      sync.Mutex // guards the fields below
	link    *link
	buckets map[string]jetstream.KeyValue // found before, by name
	lastErr error                         // reported by the connection, such as a missing permission
	lastAt  time.Time                     // when it was reported
}

var _ source.Store = (*Store)(nil)

// fleetName is what the names of buckets and subjects can hold.
var fleetName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// Open returns the store of a fleet. It connects in the background if no server can be reached
// now, so that a node with a generation on its disk can start: until then all calls fail. An error
// is one of the configuration. Close ends the connection.
func Open(c Config) (*Store, error) {
	switch {
	case !fleetName.MatchString(c.Fleet):
		return nil, fmt.Errorf("the fleet %q cannot be the name of a NATS bucket: use at most 128 letters, digits, - and _", c.Fleet)
	case c.Replicas < 0 || c.Replicas > 5:
		return nil, fmt.Errorf("the field Replicas is %d: use 1, 3 or 5", c.Replicas)
	case c.Heartbeat < 0:
		return nil, fmt.Errorf("the field Heartbeat is %v: use 0 for 10 s, or a positive duration", c.Heartbeat)
	}
	c.Replicas, c.Heartbeat = max(c.Replicas, 1), cmp.Or(c.Heartbeat, 10*time.Second)
	s := &Store{config: c, buckets: map[string]jetstream.KeyValue{}}
	options := append([]nats.Option{
		nats.Name("mtlsguard " + c.Fleet),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // two refusals would otherwise end the connection for ever
		nats.CustomReconnectDelay(reconnectDelay),
		nats.ReconnectBufSize(-1), // a commit that has failed is not sent later
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { s.noteError(err) }),
	}, c.Options...)
	conn, err := nats.Connect(c.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", redact(c.URL), err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, err
	}
	s.conn, s.js = conn, js
	status := conn.StatusChanged()
	s.link = newLink(conn.IsConnected())
	go s.followStatus(status)
	return s, nil
}

// Close ends the connection and all calls.
func (s *Store) Close() { s.conn.Close() }

// reconnectDelay returns the pause after all servers were tried. It is short, so that nodes read
// the newest generation soon after a restart, and random, so that they do not all connect at once.
func reconnectDelay(attempts int) time.Duration {
	base := min(50*time.Millisecond<<min(attempts, 8), 150*time.Millisecond)
	return base + rand.N(150*time.Millisecond)
}

// noteError keeps an error that the connection reported.
func (s *Store) noteError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastErr, s.lastAt = err, time.Now()
}

// explain adds to the error of a request without an answer why there was none: the connection was
// lost, or the connection reported something meanwhile. A server only reports missing permissions so.
func (s *Store) explain(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); errors.Is(cause, errOffline) {
		return fmt.Errorf("%s: %w", what, cause)
	}
	s.mu.Lock()
	last, recent := s.lastErr, time.Since(s.lastAt) < timeout+time.Second
	s.mu.Unlock()
	if last != nil && recent && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w (NATS reported: %w)", what, err, last)
	}
	return fmt.Errorf("%s: %w", what, err)
}
