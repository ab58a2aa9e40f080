package e2e

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
	natsstore "github.com/mtlsguard/mtlsguard/store/nats"
)

// Covers Q3.
func TestNewsComeWithin500MillisecondsOfARestart(t *testing.T) {
	t.Parallel()
	storetest.NewsAfterRestart(t, newEngine(t).forTests())
}

func TestACommitBeforeARestartIsNotLost(t *testing.T) {
	t.Parallel()
	storetest.CommitBeforeRestart(t, newEngine(t).forTests())
}

// A connection whose packets vanish is noticed by the heartbeat, and replaced.
func TestADeadConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	p := newProxy(t, net.JoinHostPort("127.0.0.1", strconv.Itoa(e.options.Port)))
	editor := e.store()
	node := open(t, natsstore.Config{URL: "nats://" + p.Addr(), Fleet: fleet, Heartbeat: 300 * time.Millisecond})
	g := commit(t, editor, next(t, nil))
	seen := make(chan uint64, 100)
	go follow(t.Context(), node, func(g *source.Generation) { seen <- g.Manifest.Number })
	waitFor(t, seen, 1)
	p.Swallow()
	started := time.Now()
	g = commit(t, editor, next(t, g))
	waitFor(t, seen, 2)
	t.Logf("noticed and replaced after %v", time.Since(started))
	if took := time.Since(started); took > 10*time.Second {
		t.Errorf("the commit took %v", took)
	}
	commit(t, editor, next(t, g))
	waitFor(t, seen, 3)
}

func TestACallWithoutAConnectionFailsAtOnceAndSaysWhy(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := e.store()
	commit(t, s, next(t, nil))
	e.stop()
	testkit.Eventually(t, "the connection is lost", func() bool { _, err := s.Load(t.Context(), nil); return err != nil })
	started := time.Now()
	_, err := s.Load(t.Context(), nil)
	if err == nil || time.Since(started) > 4*time.Second { // one that waits has five seconds
		t.Errorf("load: %v after %v", err, time.Since(started))
	}
	if err := s.Commit(t.Context(), next(t, nil)); err == nil {
		t.Error("a commit without a server succeeded")
	}
	t.Log(err)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Watch(ctx, nil); err == nil {
		t.Error("a watch without a server ended before its context")
	}
}

func TestAStoreCanBeOpenedBeforeItsServer(t *testing.T) {
	t.Parallel()
	storetest.OpenBeforeServer(t, newEngine(t).forTests())
}

// After 50 restarts nothing is left behind. Covers Q7.
func TestFiftyRestartsLeaveNothingBehind(t *testing.T) {
	e := startEngine(t, server.Options{})
	clients := 0
	storetest.FiftyRestarts(t, e.forTests(), func() { clients = e.server.NumClients() }, func() {
		js := e.jetStream()
		for _, bucket := range []string{"KV_mtlsguard_orders", "KV_mtlsguard-blobs_orders"} {
			s, err := js.Stream(t.Context(), bucket)
			if err != nil {
				t.Fatal(err)
			}
			if n := s.CachedInfo().State.Consumers; n != 0 {
				t.Errorf("%s has %d consumers", bucket, n)
			}
		}
		js.Conn().Close()
		testkit.Eventually(t, "the clients are as many as before", func() bool { return e.server.NumClients() == clients })
	})
}
