package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgxpool"
)

// mode is how queries are sent: with binary values, and without prepared statements, which PgBouncer
// in transaction mode would lose.
const mode = pgx.QueryExecModeCacheDescribe

// maxMessage is an upper bound on the bytes of a message of the server: four times a part, since a
// manifest may be larger than one.
const maxMessage = 1 << 20

// times are the waits of a Store.
type times struct {
	answer    time.Duration // for one query; after it another connection is tried
	part      time.Duration // for up to 1 MiB of a blob
	editor    time.Duration // between two statements of a commit, such as while a file is read
	connect   time.Duration
	apart     time.Duration // between two reads, however many notifications there are: any role may send them
	heartbeat time.Duration // between two reads on the listening connection
	poll      time.Duration // between two reads where LISTEN does not work
	again     time.Duration // until LISTEN is tried again there
	linger    time.Duration // how long a connection listens after the last watch
}

var standard = times{
	answer: 3 * time.Second, part: 30 * time.Second, editor: time.Minute, connect: 5 * time.Second, apart: 20 * time.Millisecond,
	heartbeat: 10 * time.Second, poll: time.Second, again: time.Minute, linger: time.Minute,
}

// Store holds the generations of one fleet in a database. It implements source.Store, and is safe for
// concurrent use.
type Store struct {
	pool   *pgxpool.Pool
	fleet  string
	wrong  error           // why nothing works: the arguments of New
	listen *pgx.ConnConfig // nil: that of the pool
	log    *slog.Logger
	times  times

	listener    listener
	pollingOnce sync.Once // for the line about LISTEN
}

// Option is a setting of New.
type Option func(*Store)

// WithListen sets another connection for LISTEN than the pool's. It is needed if the pool
// goes through PgBouncer in transaction mode: config then names the database server itself. BeforeConnect
// of the pool's configuration is called for it too. It must reach the same database.
func WithListen(config *pgx.ConnConfig) Option {
	return func(s *Store) { s.listen = config.Copy() }
}

// WithLog sets where the store logs that LISTEN does not work. Without it this is slog.Default.
func WithLog(log *slog.Logger) Option {
	return func(s *Store) { s.log = log }
}

// New returns the store of a fleet. It connects to nothing yet. The pool should be configured by ParseConfig, and stays
// the caller's, who closes the store first. A pool of 2 connections is enough for a node.
func New(pool *pgxpool.Pool, fleet string, options ...Option) *Store {
	s := &Store{pool: pool, fleet: fleet, times: standard}
	s.listener.changed = make(chan struct{})
	for _, o := range options {
		o(s)
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	switch {
	case pool == nil:
		s.wrong = errors.New("postgres: the pool is nil")
	case fleet == "" || !utf8.ValidString(fleet) || strings.Contains(fleet, "\x00"):
		s.wrong = fmt.Errorf("postgres: %q is not the name of a fleet", fleet)
	}
	return s
}

// ParseConfig reads a connection string, as pgxpool.ParseConfig does, for a pool of a Store. It bounds the memory
// that a message of the server can take, and the wait for a connection that a firewall or a failed
// host has left half open. A node holds at most 2 connections, and closes those that are idle for
// a minute; pool_max_conns in the string sets another number.
func ParseConfig(conn string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(conn)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(conn, "pool_max_conns") {
		config.MaxConns = 2
	}
	config.MaxConnIdleTime = time.Minute
	config.PingTimeout = time.Second
	bound(config.ConnConfig)
	return config, nil
}

// bound sets what a connection may take of memory and time.
func bound(config *pgx.ConnConfig) {
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		f := pgproto3.NewFrontend(r, w)
		f.SetMaxBodyLen(maxMessage)
		return f
	}
	if config.ConnectTimeout == 0 || config.ConnectTimeout > standard.connect {
		config.ConnectTimeout = standard.connect
	}
}

// query calls f, which queries the database and gives up after within. It is called up to 6 times while connections fail:
// the pool may hold some that a restart of the database has ended. The pauses begin with 12 to 24 ms, and are 0.7 s
// together at most. f must be repeatable.
func (s *Store) query(ctx context.Context, within time.Duration, f func(context.Context) error) error {
	if s.wrong != nil {
		return s.wrong
	}
	var err error
	began := time.Now()
	for attempt := range 6 {
		if attempt > 0 && (time.Since(began) > 2*within || sleep(ctx, 6*time.Millisecond<<attempt) != nil) {
			break
		}
		one, cancel := context.WithTimeout(ctx, within)
		err = f(one)
		cancel()
		if err == nil || ctx.Err() != nil || !connectionFailed(err) {
			break
		}
	}
	return s.explain(err)
}

// connectionFailed reports whether another connection may succeed.
func connectionFailed(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.HasPrefix(e.Code, "08") || strings.HasPrefix(e.Code, "57P")
	}
	return !errors.Is(err, pgx.ErrNoRows) && !errors.Is(err, errStored)
}

// errStored is wrapped by errors about what the database holds: another connection reads the same.
var errStored = errors.New("the store holds data that mtlsguard did not write")

// explain adds a remedy to an error of the database.
func (s *Store) explain(err error) error {
	hint := ""
	switch {
	case err == nil:
		return nil
	case code(err) == "42P01" || code(err) == "3F000":
		hint = "; the owner of the database runs schema.sql of store/postgres first"
	case code(err) == "42501":
		hint = "; the owner of the database grants mtlsguard_reader to nodes and mtlsguard_editor to editors, see roles.sql"
	case code(err) == "55P03":
		hint = "; another editor is committing: try again"
	}
	return fmt.Errorf("postgres: fleet %q: %w%s", s.fleet, err, hint)
}

// code returns the SQLSTATE of an error, or "".
func code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// sleep waits for d, and up to as long again: nodes must not all connect at once.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d + rand.N(d))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
