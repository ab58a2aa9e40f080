package middleware_test

import (
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/ports"
)

// Covers H15. If a client grants no window for its refusals, its connection, its streams and
// their goroutines still end, with and without a certificate.
func TestRefusalsWithoutWindowEnd(t *testing.T) {
	const streams, bound = 100, 9 * time.Second
	limits := func(c *ports.Config) { c.Limits.Idle, c.Limits.Headers = time.Second, time.Second }
	guard, before := newGuard(t), runtime.NumGoroutine()
	var clients sync.WaitGroup
	for _, holder := range []string{"", "unmapped", "alice"} { // alice's echo waits for the window too
		for _, body := range []bool{false, true} {
			port := newPort(t, "p", ports.Request, limits)
			serve(t, guard.Handler(echo), port)
			clients.Go(func() {
				c := dialFrames(t, port, shared().pairs[holder])
				c.frame(frameSettings, 0, 0, []byte{0, 4, 0, 0, 0, 0}) // SETTINGS_INITIAL_WINDOW_SIZE = 0
				go io.Copy(io.Discard, c.r)
				flags := byte(flagEndHeaders | flagEndStream)
				if body {
					flags = flagEndHeaders // the end never arrives
				}
				for i := range uint32(streams) {
					c.frame(frameHeaders, flags, 2*i+1, literals([]field{{":method", "GET"}, {":scheme", "https"}, {":authority", "localhost"}, {":path", "/"}}))
				}
				start := time.Now()
				for port.ConnCount() > 0 {
					if time.Since(start) > bound {
						t.Errorf("%q, body %v: the connection is still there after %v", holder, body, bound)
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
				t.Logf("| %d requests of %q, body %v | h2 | %.1f |", streams, holder, body, time.Since(start).Seconds())
			})
		}
	}
	clients.Wait()
	// The six ports have a few goroutines each; the streams would have six hundred.
	for end := time.Now().Add(bound); runtime.NumGoroutine() > before+streams; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
