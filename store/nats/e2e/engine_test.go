package e2e

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/fstest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/source"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

// fleet is the name of the fleet of these tests.
const fleet = "orders"

// engine is a nats-server of the test.
type engine struct {
	t       testing.TB
	options server.Options
	server  *server.Server
}

// newEngine starts a server with an empty JetStream. It is stopped when the test ends.
func newEngine(t testing.TB) *engine {
	t.Helper()
	return startEngine(t, server.Options{})
}

// startEngine starts a server with these options.
func startEngine(t testing.TB, options server.Options) *engine {
	t.Helper()
	options.Host, options.Port = "127.0.0.1", server.RANDOM_PORT
	options.JetStream, options.StoreDir = true, t.TempDir()
	options.NoLog, options.NoSigs = true, true
	e := &engine{t: t, options: options}
	e.start()
	e.options.Port = e.server.Addr().(*net.TCPAddr).Port // the same after each restart
	t.Cleanup(e.stop)
	return e
}

func (e *engine) start() {
	e.t.Helper()
	options := e.options
	var err error
	for range 50 { // the port may be in use by a connection that is not closed yet
		if e.server, err = server.NewServer(&options); err != nil {
			e.t.Fatal(err)
		}
		e.server.Start()
		if e.server.ReadyForConnections(5 * time.Second) {
			return
		}
		e.server.Shutdown()
	}
	e.t.Fatal("the nats-server does not start")
}

func (e *engine) stop() {
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

// restart stops the server and starts it again after a pause.
func (e *engine) restart(pause time.Duration) {
	e.t.Helper()
	e.stop()
	time.Sleep(pause)
	e.start()
}

func (e *engine) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", e.options.Port) }

// store returns a store of the fleet. It is closed when the test ends.
func (e *engine) store(options ...nats.Option) *natsstore.Store {
	e.t.Helper()
	return open(e.t, natsstore.Config{URL: e.url(), Fleet: fleet, Options: options})
}

func open(t testing.TB, c natsstore.Config) *natsstore.Store {
	t.Helper()
	s, err := natsstore.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// jetStream returns a plain client: that of an administrator or an attacker.
func (e *engine) jetStream() jetstream.JetStream {
	e.t.Helper()
	conn, err := nats.Connect(e.url())
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		e.t.Fatal(err)
	}
	return js
}

// next returns the generation after parent. Each of its files holds its number.
func next(t testing.TB, parent *source.Generation, sizes ...int) *source.Generation {
	t.Helper()
	number := uint64(1)
	if parent != nil {
		number = parent.Manifest.Number + 1
	}
	files := fstest.MapFS{}
	for i, size := range append([]int{8, 8}, sizes...) {
		data := make([]byte, size)
		copy(data, fmt.Sprintf("%d %d", number, i))
		files[fmt.Sprintf("file-%d", i)] = &fstest.MapFile{Data: data}
	}
	g, err := source.Next(parent, source.Manifest{Fleet: fleet, Author: "anna"}, files)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// commit commits a generation.
func commit(t testing.TB, s source.Store, g *source.Generation) *source.Generation {
	t.Helper()
	if err := s.Commit(t.Context(), g); err != nil {
		t.Fatalf("commit of generation %d: %v", g.Manifest.Number, err)
	}
	return g
}

// follow follows a source as a node does: it calls seen with each new generation, fetched as a whole, until ctx ends.
func follow(ctx context.Context, s source.Source, seen func(*source.Generation)) {
	var have *source.Generation
	for ctx.Err() == nil {
		if err := s.Watch(ctx, have); err != nil {
			if sleep(ctx, 100*time.Millisecond) != nil {
				return
			}
		}
		g, err := s.Load(ctx, have)
		if err != nil || g == have {
			continue
		}
		if g, err = g.Fetch(ctx, have); err != nil {
			continue
		}
		have = g
		seen(g)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
