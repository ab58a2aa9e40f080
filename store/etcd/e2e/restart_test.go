package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mtlsguard/mtlsguard/internal/storetest"
	"github.com/mtlsguard/mtlsguard/source"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
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
	p := newProxy(t, e.client.Host)
	editor := e.store()
	node := open(t, etcdstore.Config{Client: clientv3.Config{Endpoints: []string{"http://" + p.Addr()}}, Fleet: fleet, Heartbeat: 300 * time.Millisecond})
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

func TestACallWithoutAServerFailsAndSaysWhy(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	s := e.store()
	commit(t, s, next(t, nil))
	e.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	started := time.Now()
	_, err := s.Load(ctx, nil)
	if err == nil || time.Since(started) > 7*time.Second || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("load: %v after %v", err, time.Since(started))
	}
	t.Log(err)
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Watch(short, nil); err == nil {
		t.Error("a watch without a server ended before its context")
	}
}

func TestAStoreCanBeOpenedBeforeItsServer(t *testing.T) {
	t.Parallel()
	storetest.OpenBeforeServer(t, newEngine(t).forTests())
}

// After 50 restarts nothing is left behind. Covers Q7.
func TestFiftyRestartsLeaveNothingBehind(t *testing.T) {
	e := newEngine(t)
	e.between = newProxy(t, e.client.Host)
	storetest.FiftyRestarts(t, e.forTests(), func() {}, func() {})
}
