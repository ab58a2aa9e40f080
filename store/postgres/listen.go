package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/mtlsguard/mtlsguard/source"
)

const (
	channel     = "mtlsguard"      // of notify_generation
	pingChannel = "mtlsguard_ping" // of the test whether notifications come through a pooler
)

// follow keeps a connection that listens until ctx ends.
func (s *Store) follow(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	var pause pauses
	for {
		read, err := s.receive(ctx)
		if ctx.Err() != nil {
			return
		}
		if read {
			pause = pauses{}
		}
		if err == nil {
			continue // LISTEN is tried again
		}
		s.listener.set(func(now *state) {
			now.connected, now.failures = false, now.failures+1
			if now.err == nil {
				now.err = s.explain(err)
			}
		})
		if sleep(ctx, pause.after(err)) != nil {
			return
		}
	}
}

// subscription is a listening connection.
type subscription struct {
	*pgx.Conn
	store    *Store
	pid      int32     // of its server process
	hint     bool      // a generation of the fleet was committed
	nonce    string    // what ping sends
	pong     bool      // and that it came back
	looked   time.Time // when look was called last
	noListen string    // why it gets no notifications, and must poll every second; "": it gets them
}

// receive connects, and passes changes to the watches until the connection fails or ctx ends. It reports whether it had
// read the newest generation. The error is nil if it cannot LISTEN, and should try again.
func (s *Store) receive(ctx context.Context) (read bool, err error) {
	e, err := s.connect(ctx)
	if err != nil {
		return false, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = e.Close(ctx)
	}()
	if err := e.listen(ctx); err != nil {
		return false, err
	}
	if err := e.look(ctx); err != nil { // after LISTEN: a commit before it sent no notification here
		return false, err
	}
	if e.noListen == "" && uint32(e.pid) != e.PgConn().PID() {
		if err := e.ping(ctx); err != nil {
			return true, err
		}
	}
	for began := time.Now(); ; {
		wait := s.times.heartbeat
		if e.noListen != "" {
			s.logPolling(e.noListen)
			if wait = s.times.poll; time.Since(began) > s.times.again {
				return true, nil
			}
		}
		if err := e.wait(ctx, wait, func() bool { return e.hint }); err != nil {
			return true, err
		}
		select {
		case <-ctx.Done():
			return true, ctx.Err()
		case <-time.After(s.times.apart - time.Since(e.looked)):
		}
		if err := e.look(ctx); err != nil {
			return true, err
		}
	}
}

// connect returns a connection that does nothing yet. It tries each host of the connection string.
func (s *Store) connect(ctx context.Context) (*subscription, error) {
	all := s.pool.Config()
	config := all.ConnConfig
	if s.listen != nil {
		config = s.listen.Copy()
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(1+len(config.Fallbacks))*s.times.connect)
	defer cancel()
	if all.BeforeConnect != nil {
		if err := all.BeforeConnect(ctx, config); err != nil {
			return nil, err
		}
	}
	bound(config)
	e := &subscription{store: s}
	config.OnNotification = e.notified
	conn, err := pgx.ConnectConfig(ctx, config)
	e.Conn = conn
	return e, err
}

// notified handles a notification. It keeps nothing of it, because any role may send very many.
func (e *subscription) notified(_ *pgconn.PgConn, n *pgconn.Notification) {
	switch {
	case n.Channel == channel && strings.HasPrefix(n.Payload, e.store.fleet+" "):
		e.hint = true
	case n.Channel == pingChannel && n.Payload == e.nonce:
		e.pong = true
	}
}

// listen begins to listen. With a server that cannot, such as a standby, the connection polls.
func (e *subscription) listen(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.store.times.answer)
	defer cancel()
	_, err := e.Exec(ctx, "listen "+channel)
	if code(err) != "" && !connectionFailed(err) {
		e.noListen = err.Error()
		return nil
	}
	return err
}

// look reads the newest generation, and whether the server process still listens: the same query shows
// that the connection is alive.
func (e *subscription) look(ctx context.Context) error {
	const query = `select pg_backend_pid(), exists (select from pg_listening_channels() c where c = $2), coalesce(g.digest, '')
		from (select) one left join lateral (
			select digest from mtlsguard.generation where fleet = $1 order by number desc limit 1) g on true`
	ctx, cancel := context.WithTimeout(ctx, e.store.times.answer)
	defer cancel()
	e.hint, e.looked = false, time.Now()
	var pid int32
	var listens bool
	var digest []byte
	if err := e.QueryRow(ctx, query, mode, e.store.fleet, channel).Scan(&pid, &listens, &digest); err != nil {
		return err
	}
	if e.noListen == "" && (!listens || e.pid != 0 && e.pid != pid) {
		e.noListen = "the server process does not listen any more: a pooler such as PgBouncer in transaction mode has changed it"
	}
	e.pid = pid
	var newest source.Digest
	copy(newest[:], digest)
	e.store.listener.set(func(now *state) { now.connected, now.newest, now.err = true, newest, nil })
	return nil
}

// ping sends a notification through the pool, and waits for it here. A pooler has its own number for the server
// process, and only a test shows whether it passes notifications on.
func (e *subscription) ping(ctx context.Context) error {
	e.nonce = rand.Text()
	one, cancel := context.WithTimeout(ctx, e.store.times.answer)
	defer cancel()
	if _, err := e.Exec(one, "listen "+pingChannel); err != nil {
		return err
	}
	if _, err := e.store.pool.Exec(one, "select pg_notify($1, $2)", mode, pingChannel, e.nonce); err != nil {
		if code(err) == "" {
			return err
		}
		e.noListen = err.Error()
		return nil
	}
	if err := e.wait(ctx, e.store.times.poll, func() bool { return e.pong }); err != nil {
		return err
	}
	if !e.pong {
		e.noListen = "a notification did not arrive: a pooler such as PgBouncer in transaction mode keeps it"
	}
	return nil
}

// wait waits for notifications until enough returns true, but not longer than d. That it was too long is no error.
func (e *subscription) wait(ctx context.Context, d time.Duration, enough func() bool) error {
	one, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for !enough() {
		if err := e.PgConn().WaitForNotification(one); err != nil {
			if ctx.Err() == nil && one.Err() != nil && !e.IsClosed() {
				return nil
			}
			return err
		}
	}
	return nil
}

// logPolling logs once that the store polls every second.
func (s *Store) logPolling(why string) {
	s.pollingOnce.Do(func() {
		s.log.Warn(fmt.Sprintf("LISTEN does not work, so the database is polled for new generations every %v: give a connection to the server itself with postgres.WithListen", s.times.poll),
			"fleet", s.fleet, "cause", why)
	})
}
