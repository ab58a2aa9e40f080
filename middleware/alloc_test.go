package middleware_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/ports"
)

// capture returns a request as the handler of a server gets it, with a connection that stays
// open until the test ends. A benchmark calls a guard with it a million times without a
// network.
func capture(tb testing.TB, port *ports.Port, p *testpki.Pair) *http.Request {
	tb.Helper()
	arrived, done := make(chan *http.Request, 1), make(chan struct{})
	serve(tb, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r
		<-done
	}), port)
	c := dial(tb, port, p, false)
	c.http.Timeout = 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r, err := http.NewRequestWithContext(context.Background(), "GET", c.url+"/orders/17", nil)
		if err != nil {
			return
		}
		if res, err := c.http.Do(r); err == nil {
			res.Body.Close()
		}
	}()
	tb.Cleanup(func() { close(done); <-ended })
	return <-arrived
}

// discard is a ResponseWriter that discards the body.
type discard struct {
	h      http.Header
	status int
}

func (d *discard) Header() http.Header {
	if d.h == nil {
		d.h = http.Header{}
	}
	return d.h
}
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

var now time.Time // keeps the compiler from removing a clock read

var nothing = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func TestAllocations(t *testing.T) {
	port := newPort(t, "p", ports.Request)
	r := capture(t, port, shared().alice)
	h := newGuard(t).Handler(nothing)
	w := &discard{}
	h.ServeHTTP(w, r) // the connection has a cached caller from here on
	if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n > 2 {
		t.Errorf("%v allocations for an allowed request on a connection with a cached caller, want 2", n)
	}
}

// BenchmarkHandler measures the guard's own time for a request on a connection with a cached
// caller. The floor is the cost of any such guard: a clock read, an identity in the context
// and a request with this context.
func BenchmarkHandler(b *testing.B) {
	b.Run("floor", func(b *testing.B) {
		r, w, id := capture(b, newPort(b, "p", ports.Request), shared().alice), &discard{}, &identity.Identity{}
		b.ReportAllocs()
		for b.Loop() {
			now = time.Now()
			nothing.ServeHTTP(w, r.WithContext(identity.NewContext(r.Context(), id)))
		}
	})
	for _, x := range []struct {
		name   string
		holder string
		change func(*middleware.Config)
	}{
		{"allowed", "alice", func(*middleware.Config) {}},
		{"default", "", func(c *middleware.Config) { c.Fallback = middleware.ToDefault }},
		{"observed", "alice", func(c *middleware.Config) { c.Observe = func(*http.Request, middleware.Outcome) {} }},
		{"denied", "alice", func(c *middleware.Config) { c.Policy = newPolicy(b, "p, user:bob, *, *, /*, allow") }},
		{"strict", "", func(*middleware.Config) {}},
	} {
		b.Run(x.name, func(b *testing.B) {
			r := capture(b, newPort(b, "p", ports.Request), shared().pairs[x.holder])
			h := newGuard(b, x.change).Handler(nothing)
			w := &discard{}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}
