package e2e

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/mtlsguard/mtlsguard/source"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

func TestPruneKeepsWhatItShould(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	store := e.store()
	if n, err := store.Prune(t.Context(), etcdstore.Retention{Keep: 1}); n != 0 || err != nil {
		t.Errorf("prune of an empty store: %d, %v", n, err)
	}
	var g *source.Generation
	for range 10 {
		g = commit(t, store, next(t, g, 300<<10))
	}
	parts := len(e.keys("blob/"))
	prune := func(r etcdstore.Retention, want int) {
		t.Helper()
		if n, err := store.Prune(t.Context(), r); n != want || err != nil {
			t.Errorf("prune %+v: %d, %v, want %d", r, n, err, want)
		}
	}
	check := func(oldest uint64) {
		t.Helper()
		for number := uint64(1); number <= 10; number++ {
			g, err := store.At(t.Context(), number)
			if number < oldest {
				if !errors.Is(err, source.ErrNone) {
					t.Errorf("at %d: %v, want ErrNone", number, err)
				}
				continue
			}
			if err == nil {
				_, err = g.Fetch(t.Context())
			}
			if err != nil {
				t.Errorf("at %d: %v", number, err)
			}
		}
		if all, err := store.History(t.Context(), 0, 20); err != nil || len(all) != int(10-oldest+1) {
			t.Errorf("the history has %d manifests, %v", len(all), err)
		}
		if n := len(e.keys("blob/")); n != parts/10*int(10-oldest+1) {
			t.Errorf("%d parts of files are left of %d", n, parts)
		}
	}
	prune(etcdstore.Retention{Keep: 3, Younger: time.Hour}, 0)
	prune(etcdstore.Retention{Keep: 20}, 0)
	check(1)
	prune(etcdstore.Retention{Keep: 4}, 6)
	check(7)
	prune(etcdstore.Retention{}, 3)
	check(10)
	back, err := source.Next(g, source.Manifest{Author: "anna"}, g.FS()) // files that are there already
	if err != nil {
		t.Fatal(err)
	}
	commit(t, store, back)
	prune(etcdstore.Retention{Keep: 1}, 1)
	if _, err := back.Fetch(t.Context()); err != nil {
		t.Error(err)
	}
	if left := e.keys("pruning"); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

// A commit during which files are removed begins again: it has found files that are gone now.
func TestACommitBeginsAgainWhenPruneHasBegunMeanwhile(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	janitor := e.store()
	first := commit(t, janitor, next(t, nil, 300<<10))
	second := commit(t, janitor, next(t, first, 300<<10))
	pruned := false
	editor := e.store(grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if method == "/etcdserverpb.KV/Txn" && !pruned {
			pruned = true // the files of the first generation were found, and are removed now
			if n, err := janitor.Prune(context.Background(), etcdstore.Retention{Keep: 1}); n != 1 || err != nil {
				t.Errorf("prune: %d, %v", n, err)
			}
		}
		return invoke(ctx, method, req, reply, cc, options...)
	}))
	inMemory, err := first.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	back, err := source.Next(second, source.Manifest{Author: "anna"}, inMemory.FS())
	if err != nil {
		t.Fatal(err)
	}
	commit(t, editor, back)
	newest, err := janitor.Load(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newest.Fetch(t.Context()); err != nil || !pruned || !newest.Same(back) {
		t.Errorf("the newest generation is not whole: %v", err)
	}
}

// While one Prune runs, another one and commits wait or fail, and nothing is lost.
func TestPruneDuringCommits(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	editor, janitor, node := e.store(), e.store(), e.store()
	g := commit(t, editor, next(t, nil, 1000))
	done := make(chan error, 1)
	go func() {
		for range 10 {
			next := next(t, g, 1000)
			if err := editor.Commit(t.Context(), next); err != nil {
				done <- err
				return
			}
			g = next
		}
		done <- nil
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		if _, err := janitor.Prune(t.Context(), etcdstore.Retention{Keep: 2}); err != nil {
			t.Fatal(err)
		}
		g, err := node.Load(t.Context(), nil)
		if err == nil {
			_, err = g.Fetch(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A compaction of etcd's history loses no news.
func TestACompactionLosesNoNews(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	p := newProxy(t, e.client.Host)
	editor, admin := e.store(), e.admin()
	node := open(t, etcdstore.Config{Client: clientv3.Config{Endpoints: []string{p.url()}}, Fleet: fleet, Heartbeat: 500 * time.Millisecond})
	g := commit(t, editor, next(t, nil))
	seen := make(chan uint64, 100)
	go follow(t.Context(), node, func(g *source.Generation) { seen <- g.Manifest.Number })
	waitFor(t, seen, 1)
	for range 3 {
		p.swallow() // the watch resumes from a revision that is compacted away meanwhile
		for range 3 {
			g = commit(t, editor, next(t, g))
		}
		now, err := admin.Get(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := admin.Compact(t.Context(), now.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
			t.Fatal(err)
		}
		p.cut()
		waitFor(t, seen, g.Manifest.Number)
	}
}
