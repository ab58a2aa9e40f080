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

// Covers G11. What a caller has begun in a tunnel ends when the trust in effect does not
// trust the caller any more; what others have begun in the same tunnel goes on.
func TestUnderWayInATunnelEndsWithTheTrust(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/hang", "/ws"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			d := newDMZ(t)
			s := connected(t, d.serverConfig(t, orders, newGuard(t).Handler(newShop()), "orders"))
			ended := map[string]chan struct{}{"alice": make(chan struct{}), "bob": make(chan struct{})}
			for _, who := range []*testpki.Pair{alice, bob} {
				name := who.Cert.Subject.CommonName
				var r io.Reader
				if path == "/ws" {
					c, res := switched(t, d, who, path, "websocket")
					if res.StatusCode != 101 {
						t.Fatal(res.Status)
					}
					fmt.Fprintln(c, "still")
					if line, err := c.r.ReadString('\n'); line != name+" heard still\n" {
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
			s.trustUsers(t, believing(t, userCA, alice))
			start := time.Now()
			select {
			case <-ended["alice"]:
				if d := time.Since(start); d > 3*time.Second {
					t.Errorf("it took %v", d)
				}
			case <-time.After(10 * time.Second):
				t.Error("the revoked caller's goes on")
			}
			time.Sleep(1200 * time.Millisecond) // for what must not happen
			select {
			case <-ended["bob"]:
				t.Error("the other's was ended")
			default:
			}
		})
	}
}
