package reverse_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// Covers G11. A caller's answers in progress and hijacked connections end when the current
// trust does not trust the caller any more; those of other callers in the same tunnel continue.
func TestAnswersInProgressEndWithTheTrust(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/hang", "/ws"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t)
			s := startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(newTestHandler()), "orders"))
			ended := map[string]chan struct{}{"alice": make(chan struct{}), "bob": make(chan struct{})}
			for _, who := range []*testpki.Pair{alice, bob} {
				name := who.Cert.Subject.CommonName
				var r io.Reader
				if path == "/ws" {
					c, res := upgrade(t, d, who, path, "websocket")
					if res.StatusCode != 101 {
						t.Fatal(res.Status)
					}
					fmt.Fprintln(c, "still")
					if line, err := c.r.ReadString('\n'); line != name+" received still\n" {
						t.Fatalf("%q, %v", line, err)
					}
					c.SetDeadline(time.Time{})
					r = c.r
				} else {
					c := dialRaw(t, d, who)
					fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
					res, err := http.ReadResponse(c.r, nil)
					if err != nil || res.StatusCode != 200 {
						t.Fatal(res, err)
					}
					c.SetDeadline(time.Time{})
					body := bufio.NewReader(res.Body)
					if _, err := body.ReadByte(); err != nil {
						t.Fatal(err)
					}
					r = body
				}
				go func() {
					io.Copy(io.Discard, r)
					close(ended[name])
				}()
			}
			s.trustUsers(t, trusting(t, userCA, alice))
			start := time.Now()
			select {
			case <-ended["alice"]:
				if d := time.Since(start); d > 3*time.Second {
					t.Errorf("it took %v", d)
				}
			case <-time.After(10 * time.Second):
				t.Error("the revoked caller's connection is still open")
			}
			time.Sleep(1200 * time.Millisecond) // for what must not happen
			select {
			case <-ended["bob"]:
				t.Error("the other caller's connection was closed")
			default:
			}
		})
	}
}
