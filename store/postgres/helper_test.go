package postgres

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

const fleet = "orders"

// next returns the generation after parent whose users.yaml has a content.
func next(tb testing.TB, parent *source.Generation, content string) *source.Generation {
	tb.Helper()
	g, err := source.Next(parent, source.Manifest{Fleet: fleet, Author: "anna"}, fstest.MapFS{"users.yaml": {Data: []byte(content)}})
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

// commit commits the next generation.
func commit(tb testing.TB, s source.Store, parent *source.Generation, content string) *source.Generation {
	tb.Helper()
	g := next(tb, parent, content)
	if err := s.Commit(soon(tb), g); err != nil {
		tb.Fatalf("commit of generation %d: %v", g.Manifest.Number, err)
	}
	return g
}

// load returns the newest generation.
func load(tb testing.TB, s source.Source) *source.Generation {
	tb.Helper()
	g, err := s.Load(soon(tb), nil)
	if err != nil {
		tb.Fatalf("load: %v", err)
	}
	return g
}

// content returns the content of users.yaml.
func content(g *source.Generation) (string, error) {
	data, err := g.ReadFile(context.Background(), g.Manifest.Files[0])
	return string(data), err
}

// follow reads generations as a node does, until ctx ends, and sends the number of each.
func follow(ctx context.Context, s source.Source, saw func(*source.Generation)) {
	var have *source.Generation
	for ctx.Err() == nil {
		if g, err := s.Load(ctx, have); err == nil && g != have {
			have = g
			saw(g)
		}
		if s.Watch(ctx, have) != nil {
			time.Sleep(time.Millisecond)
		}
	}
}

// errorHas fails the test unless the error has a text.
func errorHas(tb testing.TB, err error, text string) {
	tb.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		tb.Errorf("the error is %v, want one with %q", err, text)
	}
}

// errorIs fails the test unless the error is want.
func errorIs(tb testing.TB, err, want error) {
	tb.Helper()
	if !errors.Is(err, want) {
		tb.Errorf("the error is %v, want %v", err, want)
	}
}

// proxy is a TCP proxy that can lose what passes, without closing anything.
type proxy struct {
	net.Listener
	target string
	lost   atomic.Bool  // nothing passes, and no end of the connection is reported
	passed atomic.Int64 // bytes from the server
	asked  atomic.Int64 // bytes from clients
	quota  atomic.Int64 // bytes from the server until all connections are cut; 0: no bound

	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(tb testing.TB, target string) *proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{Listener: l, target: target}
	tb.Cleanup(func() { _ = l.Close(); p.cut() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", p.target)
			if err != nil {
				_ = client.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, client, server)
			p.mu.Unlock()
			go p.copy(server, client, false)
			go p.copy(client, server, true)
		}
	}()
	return p
}

// copy passes data on.
func (p *proxy) copy(to, from net.Conn, down bool) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if p.lost.Load() {
			n = 0
			if err != nil {
				return
			}
		}
		if down {
			p.passed.Add(int64(n))
		} else {
			p.asked.Add(int64(n))
		}
		if down && n > 0 && p.quota.Load() > 0 && p.quota.Add(-int64(n)) <= 0 {
			p.quota.Store(0)
			p.cut()
			return
		}
		if _, werr := to.Write(buf[:n]); err != nil || werr != nil {
			return
		}
	}
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// eventually waits until saw has returned want.
func eventually(tb testing.TB, want uint64, saw *atomic.Uint64) time.Duration {
	tb.Helper()
	began := time.Now()
	testkit.Eventually(tb, "a generation is seen", func() bool { return saw.Load() == want })
	return time.Since(began)
}
