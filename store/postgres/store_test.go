package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

var _ source.Store = (*Store)(nil)

func TestStoreKeepsItsPromises(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	name := c.database(t)
	sourcetest.Run(t, func(t *testing.T) source.Store {
		c.exec(t, name, "drop schema mtlsguard cascade;"+Schema)
		return storeOf(t, c.pool(t, name, "postgres"), sourcetest.Fleet)
	})
}

func TestParseConfigIsForANode(t *testing.T) {
	t.Parallel()
	for conn, want := range map[string]int32{"postgres://node@127.0.0.1/fleet": 2, "postgres://node@127.0.0.1/fleet?pool_max_conns=7": 7, "user=node pool_max_conns=1": 1} {
		config, err := ParseConfig(conn)
		if err != nil || config.MaxConns != want || config.PingTimeout != time.Second || config.ConnConfig.ConnectTimeout != 5*time.Second {
			t.Errorf("%s: %v, %v, want at most %d connections", conn, config, err, want)
		}
	}
	if _, err := ParseConfig("postgres://127.0.0.1:x/"); err == nil {
		t.Error("a wrong port is no error")
	}
}

// One connection is enough for an editor, and for a node next to the one that listens.
func TestPoolOfOneConnectionIsEnough(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	config, err := ParseConfig(c.dsn(c.database(t)) + "&pool_max_conns=1")
	if err != nil {
		t.Fatal(err)
	}
	s := storeOf(t, poolWith(t, config), fleet)
	first := commit(t, s, nil, "1")
	second := commit(t, s, first, "2")
	commit(t, s, second, "1") // reads the content that is there
	if err := s.Watch(soon(t), second); err != nil {
		t.Error(err)
	}
	if got, err := content(load(t, s)); err != nil || got != "1" {
		t.Errorf("the content is %q, %v", got, err)
	}
}

// A reader gets files of one generation, or none, while others are committed and pruned.
func TestLoadNeverMixesGenerations(t *testing.T) {
	t.Parallel()
	c := sharedCluster(t)
	name := c.database(t)
	editor, node := storeOf(t, c.pool(t, name, "postgres"), fleet), storeOf(t, c.pool(t, name, "postgres"), fleet)
	files := func(n int) fstest.MapFS {
		text := fmt.Appendf(nil, "%d", n)
		return fstest.MapFS{"a": {Data: text}, "b": {Data: append(text, make([]byte, 300<<10)...)}}
	}
	done := make(chan error, 1)
	go func() {
		var parent *source.Generation
		for n := 1; n <= 60; n++ {
			g, err := source.Next(parent, source.Manifest{Fleet: fleet, Author: "anna"}, files(n))
			if err == nil {
				err = editor.Commit(context.Background(), g)
			}
			if err == nil && n%10 == 0 {
				err = c.try(name, "postgres", "select mtlsguard.prune('orders', 1, '0')")
			}
			if err != nil {
				done <- err
				return
			}
			parent = g
		}
		done <- nil
	}()
	whole, gone := 0, 0
	for running := true; running; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
		g, err := node.Load(soon(t), nil)
		if errors.Is(err, source.ErrNone) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		g, err = g.Fetch(soon(t))
		if errors.Is(err, fs.ErrNotExist) { // pruned since
			gone++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprint(g.Manifest.Number)
		a, errA := fs.ReadFile(g.FS(), "a")
		b, errB := fs.ReadFile(g.FS(), "b")
		if errA != nil || errB != nil || string(a) != want || string(b[:len(want)]) != want || b[len(want)] != 0 {
			t.Fatalf("generation %s has %q and %q, %v, %v", want, a, b[:5], errA, errB)
		}
		whole++
	}
	t.Logf("%d loads were whole, and %d pruned meanwhile", whole, gone)
}
