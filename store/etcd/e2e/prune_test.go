package e2e

import (
	"context"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
	etcdstore "github.com/mtlsguard/mtlsguard/store/etcd"
)

func TestPrune(t *testing.T) {
	t.Parallel()
	sourcetest.RunPrune(t, func(t *testing.T) source.Store {
		return open(t, etcdstore.Config{Client: newEngine(t).config(), Fleet: sourcetest.Fleet})
	}, func(ctx context.Context, s source.Store, keep int, younger, _ time.Duration) (int, error) {
		return s.(*etcdstore.Store).Prune(ctx, etcdstore.Retention{Keep: keep, Younger: younger})
	})
}

func TestPruneRemovesFiles(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	store := e.store()
	var g *source.Generation
	for range 4 {
		g = commit(t, store, next(t, g, 300<<10))
	}
	parts := len(e.keys("blob/"))
	if _, err := store.Prune(t.Context(), etcdstore.Retention{Keep: 1}); err != nil {
		t.Fatal(err)
	}
	if n := len(e.keys("blob/")); n != parts/4 {
		t.Errorf("%d parts of files are left of %d", n, parts)
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

// A compaction of etcd's history hides no generation from a node.
func TestACompactionLosesNoNews(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	p := newProxy(t, e.client.Host)
	editor, admin := e.store(), e.admin()
	node := open(t, etcdstore.Config{Client: clientv3.Config{Endpoints: []string{"http://" + p.Addr()}}, Fleet: fleet, Heartbeat: 500 * time.Millisecond})
	g := commit(t, editor, next(t, nil))
	seen := make(chan uint64, 100)
	go follow(t.Context(), node, func(g *source.Generation) { seen <- g.Manifest.Number })
	waitFor(t, seen, 1)
	for range 3 {
		p.Swallow() // the watch resumes from a revision that is compacted away meanwhile
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
		p.Cut()
		waitFor(t, seen, g.Manifest.Number)
	}
}
