package reverse_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// Covers K19. The memory of a gateway with a full tunnel is bounded; docs/reverse.md has the
// figures.
func TestMemoryOfAFullTunnelIsBounded(t *testing.T) {
	t.Parallel()
	streams := 50
	if *full {
		streams = 250 // as many as a tunnel has
	}
	for name, tc := range map[string]struct {
		head  string
		began bool
		most  int // KiB for each
	}{
		"uploads of unknown length":    {"POST /unread HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true, 120},
		"websockets":                   {"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", false, 160},
		"answers that no client reads": {"GET /big?n=100000000 HTTP/1.1\r\nHost: x\r\n\r\n", false, 420},
		"idle connections":             {"", false, 80},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, registration, external := newGatewayChild(t)
			shop := newTestHandler()
			defer close(shop.release)
			c := (&dmz{}).baseConfig(t, orders, newGuard(t).Handler(shop), "orders")
			c.Addrs = []string{registration}
			startConnected(t, c)
			newClient(t, external, alice, false).get("/x")
			before := g.memory(t)
			config := clientConfig(alice)
			config.NextProtos = []string{"http/1.1"}
			for range streams {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", external)
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				io.WriteString(conn, tc.head)
				switch {
				case tc.began:
					select {
					case <-shop.began:
					case <-time.After(patience):
						t.Fatal("an upload did not reach its handler")
					}
				case tc.head != "":
					conn.SetReadDeadline(time.Now().Add(patience))
					res := must[*http.Response](t)(http.ReadResponse(bufio.NewReaderSize(conn, 16), &http.Request{Method: "GET"}))
					if res.StatusCode >= 300 {
						t.Fatalf("answered %s", res.Status)
					}
				}
			}
			most := 0
			testkit.Eventually(t, "the memory to settle", func() bool { // the windows fill slowly
				now := g.memory(t) - before
				grown := now > most
				most = max(most, now)
				time.Sleep(100 * time.Millisecond)
				return !grown
			})
			each := most / streams >> 10
			t.Logf("%d %s: %.1f MB, %d KiB for each", streams, name, float64(most)/1e6, each)
			if each > tc.most {
				t.Errorf("%d KiB for each, want %d at most", each, tc.most)
			}
		})
	}
}
