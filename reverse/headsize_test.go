package reverse_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
)

// besideAnotherRequest runs f while another caller's request is in flight in the same
// tunnel. That request must be answered, and the tunnel must stay.
func besideAnotherRequest(t *testing.T, d *dmz, shop *testHandler, f func(t *testing.T)) {
	t.Helper()
	other := d.client(t, bob, true)
	answer := make(chan response, 1)
	go func() { answer <- other.get("/wait") }()
	<-shop.began
	f(t)
	for range 20 {
		if s := other.get("/x"); s.Code != 200 {
			t.Errorf("another caller's next request: %d, want 200", s.Code)
		}
	}
	close(shop.release)
	if s := <-answer; s.Body != "done" {
		t.Errorf("another caller's request in flight: %d %q, want %q", s.Code, s.Body, "done")
	}
	if n := d.events.count(reverse.Gone) + d.events.count(reverse.Draining); n != 0 {
		t.Errorf("%d tunnels ended: %v", n, d.events.errors())
	}
}

// Covers K15. An answer whose head or trailers are too long for a tunnel fails alone.
func TestAnswerWithALongHeaderFailsAlone(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200<<10)
	many := func(h http.Header) {
		for i := range 6000 {
			h.Add(fmt.Sprintf("X-%d", i), "y")
		}
	}
	for name, tc := range map[string]struct {
		h    http.HandlerFunc
		code int // 0: aborted, or 502 if nothing had been sent
	}{
		"one field":       {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", long); io.WriteString(w, "x") }, 502},
		"a megabyte":      {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, 502},
		"just too much":   {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 128<<10)) }, 502},
		"as much as fits": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 120<<10)) }, 200},
		"many fields":     {func(w http.ResponseWriter, _ *http.Request) { many(w.Header()); w.WriteHeader(http.StatusNotFound) }, 502},
		"many cookies": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 6000 {
				w.Header().Add("Set-Cookie", fmt.Sprint(i))
			}
		}, 502},
		"flushed":    {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", long); w.(http.Flusher).Flush() }, 502},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/"+long, http.StatusFound) }, 502},
		"a hint": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", long)
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			io.WriteString(w, "x")
		}, 200},
		"a trailer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "sum")
			io.WriteString(w, "x")
			w.Header().Set("Sum", long)
		}, 0},
		"a late trailer": {func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			w.Header().Set(http.TrailerPrefix+"Sum", long)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newTestHandler()
			d := newDMZ(t)
			s := startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/long" {
					tc.h(w, r)
					return
				}
				shop.ServeHTTP(w, r)
			})), "orders"))
			besideAnotherRequest(t, d, shop, func(t *testing.T) {
				for _, h2 := range []bool{false, true} {
					c := d.client(t, alice, h2)
					c.http.Transport.(*http.Transport).MaxResponseHeaderBytes = 4 << 20
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					res, err := c.http.Do(c.request("GET", "/long", nil).WithContext(ctx))
					if err == nil {
						_, err = io.Copy(io.Discard, res.Body)
						res.Body.Close()
					}
					cancel()
					if tc.code == 0 && err == nil && res.StatusCode != 502 || tc.code != 0 && (err != nil || res.StatusCode != tc.code) {
						t.Errorf("HTTP/2 %t: %v, %v; want %d", h2, res, err, tc.code)
					}
				}
			})
			if failed := s.events.count(reverse.Failed); tc.code != 200 && failed != 2 {
				t.Errorf("the server reported %d failures, want 2", failed)
			}
		})
	}
}

// Covers K15. A request whose head or trailers are too long for a tunnel fails alone.
func TestRequestWithALongHeaderFailsAlone(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200<<10)
	trailing := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(strings.NewReader("x")), -1
			r.Trailer = http.Header{name: {value}}
		}
	}
	for name, tc := range map[string]struct {
		change func(*http.Request)
		target string
		code   int
		only   string // a protocol
	}{
		"one field":       {change: header("X", long), code: 431},
		"just too much":   {change: header("X", strings.Repeat("x", 127<<10)), code: 431},
		"as much as fits": {change: header("X", strings.Repeat("x", 110<<10)), code: 200},
		"many fields": {change: func(r *http.Request) {
			for i := range 6000 {
				r.Header[fmt.Sprintf("X-%d", i)] = []string{"y"}
			}
		}, code: 431},
		"crumbs": {change: header("Cookie", strings.Repeat("a=b; ", 20_000)), code: 431},
		"path":   {target: "/" + long, code: 431},
		"query":  {target: "/x?" + long, code: 431},
		"a body, too": {change: func(r *http.Request) {
			r.Method, r.Body, r.ContentLength = "POST", io.NopCloser(io.LimitReader(zeros{}, 1<<20)), 1<<20
			r.Header.Set("X", long)
		}, code: 431},
		"trailer":                {change: trailing("Sum", long), code: 431, only: "HTTP/2"}, // in HTTP/1 net/http accepts 4 KiB
		"forbidden trailer":      {change: trailing("Authorization", "x"), code: 200, only: "HTTP/1"},
		"conditional trailer":    {change: trailing("If-Match", "x"), code: 200, only: "HTTP/1"},
		"authentication trailer": {change: trailing("Www-Authenticate", "x"), code: 200, only: "HTTP/1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shop := newTestHandler()
			d := newDMZ(t, func(_ *reverse.GatewayConfig, external, _ *ports.Config) { external.Limits.HeaderBytes = 1 << 20 })
			startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(shop), "orders"))
			besideAnotherRequest(t, d, shop, func(t *testing.T) {
				for _, h2 := range []bool{true, false} {
					if tc.only == "HTTP/2" && !h2 || tc.only == "HTTP/1" && h2 { // net/http on the port refuses it in the other protocol
						continue
					}
					c := d.client(t, alice, h2)
					target := tc.target
					if target == "" {
						target = "/sum"
					}
					r := c.request("GET", target, nil)
					if tc.change != nil {
						tc.change(r)
					}
					if s := c.do(r); s.Code != tc.code {
						t.Errorf("HTTP/2 %t: %d, want %d", h2, s.Code, tc.code)
					}
				}
			})
		})
	}
}
