package e2e

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/source"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

const fleet = storetest.Fleet

var (
	next     = storetest.Next
	commit   = storetest.Commit
	follow   = storetest.Follow
	waitFor  = storetest.WaitFor
	newProxy = storetest.NewProxy
)

// forTests returns the engine for package storetest.
func (e *engine) forTests() storetest.Engine {
	return storetest.Engine{Open: func() source.Store { return e.store() }, Stop: e.stop, Start: e.start}
}

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
