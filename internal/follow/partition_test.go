package follow_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/follow"
	"github.com/mtlsguard/mtlsguard/source"
	"github.com/mtlsguard/mtlsguard/source/sourcetest"
)

// line is the line of one node to the store.
type line struct {
	source.Store
	mu   sync.Mutex
	cut  chan struct{} // packets vanish until it is closed; nil: they come
	rate int           // bytes a second; 0: any
}

// wait waits while the line is cut.
func (l *line) wait(ctx context.Context) error {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut == nil {
		return nil
	}
	select {
	case <-cut:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *line) Load(ctx context.Context, have *source.Generation) (*source.Generation, error) {
	if err := l.wait(ctx); err != nil {
		return nil, err
	}
	g, err := l.Store.Load(ctx, have)
	if err != nil || g == have {
		return g, err
	}
	return source.New(g.Raw, g.Signatures, func(ctx context.Context, f source.File) (io.ReadCloser, error) {
		r, err := g.Open(ctx, f)
		if err != nil {
			return nil, err
		}
		return &lineReader{r, l, ctx}, nil
	})
}

func (l *line) Watch(ctx context.Context, have *source.Generation) error {
	if err := l.Store.Watch(ctx, have); err != nil {
		return err
	}
	return l.wait(ctx)
}

func (l *line) PutReport(ctx context.Context, r source.Report) error {
	if err := l.wait(ctx); err != nil {
		return err
	}
	return l.Store.PutReport(ctx, r)
}

// lineReader reads a file through a line.
type lineReader struct {
	io.ReadCloser
	line *line
	ctx  context.Context
}

func (r *lineReader) Read(p []byte) (int, error) {
	if err := r.line.wait(r.ctx); err != nil {
		return 0, err
	}
	n, err := r.ReadCloser.Read(p[:min(len(p), 4<<10)])
	if r.line.rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(r.line.rate))
	}
	return n, err
}

// many are nodes with a line each.
type many struct {
	testing.TB
	store  *sourcetest.Memory
	newest *source.Generation
	lines  []*line
	nodes  []*follow.Follower
}

func newMany(t *testing.T, size int) *many {
	m := &many{TB: t, store: sourcetest.NewMemory("orders")}
	m.commit("1")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for i := range size {
		l := &line{Store: m.store}
		f := follow.New(follow.Config{
			Source: l, Keep: source.OpenKeep(t.TempDir()), Node: fmt.Sprintf("node-%d", i), Now: time.Now,
			Check: func(*source.Generation) error { return nil },
			Poll:  func() time.Duration { return 10 * time.Second },
			Lines: func(err error) []string { return []string{err.Error()} },
			Apply: func(context.Context, *source.Generation) (time.Time, error) { return time.Time{}, nil },
		})
		if err := f.Start(ctx, time.Second); err != nil {
			t.Fatal(err)
		}
		running.Go(func() { f.Run(ctx) })
		m.lines, m.nodes = append(m.lines, l), append(m.nodes, f)
	}
	t.Cleanup(func() { cancel(); running.Wait() })
	return m
}

// commit commits a generation with a file.
func (m *many) commit(content string) {
	m.Helper()
	g, err := source.Next(m.newest, source.Manifest{Fleet: "orders", Author: "anna"}, fstest.MapFS{"a": {Data: []byte(content)}})
	if err != nil {
		m.Fatal(err)
	}
	if err := m.store.Commit(m.Context(), g); err != nil {
		m.Fatal(err)
	}
	m.newest = g
}

// inEffect returns how long it takes until the newest generation is in effect on nodes.
func (m *many) inEffect(nodes []*follow.Follower) time.Duration {
	m.Helper()
	began := time.Now()
	for _, n := range nodes {
		for n.State().InEffect.Manifest.Number != m.newest.Manifest.Number {
			if time.Since(began) > time.Minute {
				m.Fatalf("generation %d is in effect, want %d: %v", n.State().InEffect.Manifest.Number, m.newest.Manifest.Number, n.State().Err)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return time.Since(began)
}

// Of 100 nodes, 30 are cut off while changes come: they keep what they have, the others do not wait for them,
// and all have the newest generation within a second of the repair. A node on a slow line delays no other,
// and gets the newest generation too.
func TestPartition(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMany(t, 100)
		m.inEffect(m.nodes)
		repaired := make(chan struct{})
		for _, l := range m.lines[:30] {
			l.mu.Lock()
			l.cut = repaired
			l.mu.Unlock()
		}
		for n := range 5 {
			m.commit(fmt.Sprint("change ", n))
			if took := m.inEffect(m.nodes[30:]); took > time.Second {
				t.Errorf("change %d is on 70 nodes after %v", n, took)
			}
			time.Sleep(7 * time.Second) // longer than the source may take to answer, in all
		}
		for i, n := range m.nodes[:30] {
			if s := n.State(); s.InEffect.Manifest.Number != 1 || s.Connected {
				t.Errorf("node %d, which is cut off: %+v", i, s)
			}
		}
		close(repaired)
		if took := m.inEffect(m.nodes); took > time.Second {
			t.Errorf("all nodes have the newest generation %v after the repair", took)
		}

		slow := m.nodes[:1]
		m.lines[0].rate = 64 << 10
		m.commit(string(bytes.Repeat([]byte("large"), 128<<10)))
		if took := m.inEffect(m.nodes[1:]); took > time.Second {
			t.Errorf("a large change is on 99 nodes after %v", took)
		}
		m.commit("small")
		if took := m.inEffect(m.nodes[1:]); took > time.Second {
			t.Errorf("a small change is on 99 nodes after %v", took)
		}
		if took := m.inEffect(slow); took < 5*time.Second || took > 15*time.Second {
			t.Errorf("the slow node has the newest generation after %v: its 640 KiB take 10 s", took)
		}
	})
}
