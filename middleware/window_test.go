package middleware_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
)

// Covers H15. If a client grants no window for its refusals, its connection, its streams and
// their goroutines still end, with and without a certificate.
func TestRefusalsWithoutWindowEnd(t *testing.T) {
	t.Parallel()
	shared()                                                   // outside the bubbles, which use it too
	for _, holder := range []string{"", "unmapped", "alice"} { // alice's echo waits for the window too
		for _, body := range []bool{false, true} {
			t.Run(fmt.Sprintf("%q, body %v", holder, body), func(t *testing.T) {
				testkit.OnFakeClock(t, func(t *testing.T) { wantRefusalsToEnd(t, shared().pairs[holder], body) })
			})
		}
	}
}

// wantRefusalsToEnd sends requests of a client that grants no window, and waits for the end of its
// connection. OnFakeClock fails if a goroutine of a stream is left.
func wantRefusalsToEnd(t *testing.T, holder *testpki.Pair, body bool) {
	const streams, bound = 100, 9 * time.Second
	port := newPort(t, "p", ports.Request, func(c *ports.Config) { c.Limits.Idle, c.Limits.Headers = time.Second, time.Second })
	servePipes(t, newGuard(t).Handler(echo), port)
	c := dialFrames(t, port, holder)
	go io.Copy(io.Discard, c.r)
	c.frame(frameSettings, 0, 0, []byte{0, 4, 0, 0, 0, 0}) // SETTINGS_INITIAL_WINDOW_SIZE = 0
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
			t.Errorf("the connection is still there after %v", bound)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("it ended after %.1f s", time.Since(start).Seconds())
}
