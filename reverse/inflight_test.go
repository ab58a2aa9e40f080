package reverse_test

import (
	"errors"
	"fmt"
	"io"
	"os"
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
			h := newTestHandler()
			s := startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(h), "orders"))
			revoked, other := beginWork(t, d, alice, path), beginWork(t, d, bob, path)
			s.trustUsers(t, trusting(t, userCA, alice))
			revoked.SetDeadline(time.Now().Add(5 * time.Second)) // the limit is 1 s, and more on a busy machine
			_, err := io.Copy(io.Discard, revoked.r)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the revoked caller's connection is still open")
			}
			if path == "/hang" && err == nil {
				t.Error("the revoked caller's answer looks complete")
			}
			s.trustUsers(t, trusting(t, userCA, alice)) // verifies the other caller once more
			if path == "/ws" {
				fmt.Fprintln(other, "again")
				if line, err := other.r.ReadString('\n'); line != "bob received again\n" {
					t.Errorf("the other caller's connection: %q, %v", line, err)
				}
				return
			}
			close(h.release)
			if line, err := other.r.ReadString('0'); line != "0" { // the last chunk: the answer is complete
				t.Errorf("the other caller's answer ended with %q, %v", line, err)
			}
		})
	}
}

// beginWork begins an answer or upgrades a connection, and returns while it is in progress.
func beginWork(t *testing.T, d *dmz, p *testpki.Pair, path string) *rawConn {
	t.Helper()
	if path == "/ws" {
		c, res := upgrade(t, d, p, path, "websocket")
		if res.StatusCode != 101 {
			t.Fatal(res.Status)
		}
		return c
	}
	c := dialRaw(t, d, p)
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	for line := ""; line != "half of it\n"; {
		var err error
		if line, err = c.r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if rest := must[string](t)(c.r.ReadString('\n')); rest != "\r\n" { // the end of the chunk
		t.Fatalf("after the half: %q, want %q", rest, "\r\n")
	}
	return c
}
