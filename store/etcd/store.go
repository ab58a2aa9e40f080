package etcdstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/connectivity"

	"github.com/mtlsguard/mtlsguard/source"
)

// timeout bounds each request.
const timeout = 5 * time.Second

// Config describes a store.
type Config struct {
	// Client is how to reach etcd: Endpoints, TLS, Username and the like. Where a field is zero the store sets
	// its own value: it reconnects after at most 500 ms, bounds answers to 4 MiB, and logs nothing. Its own
	// DialOptions come before those of Client.
	Client clientv3.Config
	Fleet  string // name of the fleet: letters, digits, ., - and _
	// Heartbeat is the interval at which the newest generation is read when no change is announced.
	// It bounds how long a dead connection that neither side has closed stays unnoticed. 0 means 10
	// s.
	Heartbeat time.Duration
}

// Store is a source.Store in etcd. It has one connection to each server. It is safe for concurrent use.
type Store struct {
	config Config
	prefix string // of all keys

	mu      sync.Mutex       // guards the fields below
	client  *clientv3.Client // nil: not made yet
	closed  bool
	lease   clientv3.LeaseID // of the report; 0: none yet
	granted time.Time        // when it was granted
	loaded  loaded           // by the last Load, if it succeeded
}

// loaded is the newest generation, and the revision of the store when it was read.
type loaded struct {
	generation *source.Generation
	read       int64
}

var _ source.Store = (*Store)(nil)

// fleetName is what a key can hold unambiguously.
var fleetName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// Open returns the store of a fleet. It does not connect yet: a node with a generation on its disk
// can start when etcd cannot be reached. An error is one of the configuration. Close ends the connections.
func Open(c Config) (*Store, error) {
	switch {
	case !fleetName.MatchString(c.Fleet):
		return nil, fmt.Errorf("the fleet %q cannot be part of a key: use at most 128 letters, digits, ., - and _", c.Fleet)
	case len(c.Client.Endpoints) == 0:
		return nil, errors.New("the field Client.Endpoints is empty: name the servers, such as https://etcd.acme.example:2379")
	case c.Heartbeat < 0:
		return nil, fmt.Errorf("the field Heartbeat is %v: use 0 for 10 s, or a positive duration", c.Heartbeat)
	}
	c.Heartbeat = cmp.Or(c.Heartbeat, 10*time.Second)
	set := &c.Client
	set.DialTimeout = cmp.Or(set.DialTimeout, timeout)
	set.DialKeepAliveTime = cmp.Or(set.DialKeepAliveTime, 10*time.Second)
	set.DialKeepAliveTimeout = cmp.Or(set.DialKeepAliveTimeout, 3*time.Second)
	if set.MaxCallSendMsgSize == 0 && set.MaxCallRecvMsgSize == 0 {
		set.MaxCallSendMsgSize, set.MaxCallRecvMsgSize = 2<<20, 4<<20
	}
	if set.Logger == nil && set.LogConfig == nil {
		set.Logger = zap.NewNop()
	}
	set.DialOptions = append([]grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
		Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.3, Jitter: 0.5, MaxDelay: 300 * time.Millisecond},
		MinConnectTimeout: 3 * time.Second,
	})}, set.DialOptions...)
	return &Store{config: c, prefix: "/mtlsguard/" + c.Fleet + "/"}, nil
}

// Close ends the connections and all calls.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.client != nil {
		_ = s.client.Close()
		s.client = nil
	}
}

// errClosed is returned by calls of a store after Close.
var errClosed = errors.New("the store was closed")

// connect returns the client, and makes it if there is none. With a password this needs a token
// from etcd, and fails if etcd cannot be reached.
func (s *Store) connect() (*clientv3.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errClosed
	}
	if s.client == nil {
		client, err := clientv3.New(s.config.Client)
		if err != nil {
			return nil, fmt.Errorf("connect to etcd at %s: %w", s.endpoints(), err)
		}
		s.client = client
	}
	return s.client, nil
}

// renew makes the next call use new connections, if those of client are open and do not answer.
// Other requests on them end with an error.
func (s *Store) renew(client *clientv3.Client) {
	if client.ActiveConnection().GetState() != connectivity.Ready {
		return // it is connecting already
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == client {
		s.client = nil
		go client.Close()
	}
}

func (s *Store) endpoints() string { return strings.Join(s.config.Client.Endpoints, ", ") }

// request calls do with a client and the context of one request.
func (s *Store) request(ctx context.Context, what string, do func(context.Context, *clientv3.Client) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err = do(within, client)
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && within.Err() != nil:
		state := client.ActiveConnection().GetState()
		return fmt.Errorf("%s: etcd at %s does not answer (the connection is %s): %w", what, s.endpoints(), strings.ToLower(state.String()), err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// get reads one key. The result is nil if it does not exist. revision is that of the whole store
// when it was read.
func (s *Store) get(ctx context.Context, key string, options ...clientv3.OpOption) (value *entry, revision int64, err error) {
	err = s.request(ctx, "read "+s.prefix+key, func(ctx context.Context, c *clientv3.Client) error {
		answer, err := c.Get(ctx, s.prefix+key, options...)
		if err != nil {
			return err
		}
		revision = answer.Header.GetRevision()
		if len(answer.Kvs) > 0 {
			value = &entry{answer.Kvs[0].Value, answer.Kvs[0].ModRevision}
		}
		return nil
	})
	return value, revision, err
}

// entry is the value of a key, and the revision in which it was written.
type entry struct {
	data     []byte
	revision int64
}
