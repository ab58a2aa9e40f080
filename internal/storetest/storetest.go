// Package storetest tests the stores of databases with their servers: restarts, many nodes, and connections
// that die. Package sourcetest checks what every store promises.
package storetest

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// Fleet is the name of the fleet of these tests.
const Fleet = "orders"

// Slack is what a busy test machine may add: the promise is 500 ms, and the defaults of clients
// take 2 s to 7 s.
const Slack = time.Second

// Engine is a server of a database, which runs.
type Engine struct {
	// Open opens a store of Fleet with a connection of its own. It is closed when the test ends.
	Open        func() source.Store
	Stop, Start func() // Start starts it at the same address
}

// restart stops the server and starts it again after a pause.
func (e Engine) restart(pause time.Duration) {
	e.Stop()
	time.Sleep(pause)
	e.Start()
}

// Next returns the generation after parent. Each of its files holds its number.
func Next(t testing.TB, parent *source.Generation, sizes ...int) *source.Generation {
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
	g, err := source.Next(parent, source.Manifest{Fleet: Fleet, Author: "anna"}, files)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Commit commits a generation.
func Commit(t testing.TB, s source.Store, g *source.Generation) *source.Generation {
	t.Helper()
	if err := s.Commit(t.Context(), g); err != nil {
		t.Fatalf("commit of generation %d: %v", g.Manifest.Number, err)
	}
	return g
}

// Follow follows a source as a node does: it calls seen with each new generation, fetched as a whole, until ctx ends.
func Follow(ctx context.Context, s source.Source, seen func(*source.Generation)) {
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

// WaitFor waits until a generation, or a later one, was seen.
func WaitFor(t testing.TB, seen <-chan uint64, number uint64) {
	t.Helper()
	late := time.After(testkit.Patience)
	for {
		select {
		case n := <-seen:
			if n >= number {
				return
			}
		case <-late:
			t.Fatalf("generation %d was not seen within %v", number, testkit.Patience)
		}
	}
}
