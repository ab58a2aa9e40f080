package reverse_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// websocket answers the opening handshake (RFC 6455 section 4.2.2) and echoes lines.
func websocket(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has("no") {
		http.Error(w, "not here", http.StatusTeapot)
		return
	}
	id, _ := identity.FromContext(r.Context())
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer c.Close()
	if r.URL.Query().Has("hijacked") {
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno\n")
		io.Copy(c, buffered) // without a limit
		return
	}
	key := sha1.Sum([]byte(r.Header.Get("Sec-Websocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Accept: %s\r\n\r\n", r.Header.Get("Upgrade"), base64.StdEncoding.EncodeToString(key[:]))
	lines := bufio.NewScanner(buffered)
	for lines.Scan() {
		if lines.Text() == "bye" {
			return
		}
		if _, err := fmt.Fprintf(c, "%s received %s\n", id.User, lines.Text()); err != nil {
			return
		}
	}
}

// upgrade sends a request for an upgrade and returns the connection and the answer.
func upgrade(tb testing.TB, d *dmz, p *testpki.Pair, target, token string) (*rawConn, *http.Response) {
	tb.Helper()
	c := dialRaw(tb, d, p)
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: %s\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", target, token)
	return c, must[*http.Response](tb)(http.ReadResponse(c.r, &http.Request{Method: "GET"}))
}

// Covers K7.
func TestWebSocketGoesThroughTheTunnel(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, newTestHandler())
	c, res := upgrade(t, d, alice, "/ws", "websocket")
	if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("answered %d with %v, want 101 with the key's hash", res.StatusCode, res.Header)
	}
	for _, line := range []string{"one", "two", strings.Repeat("x", 60_000)} {
		fmt.Fprintln(c, line)
		if got, err := c.r.ReadString('\n'); err != nil || got != "alice received "+line+"\n" {
			t.Fatalf("got %q, %v; want the echo of %q", got, err, line)
		}
	}
	fmt.Fprintln(c, "bye")
	if _, err := c.r.ReadByte(); err != io.EOF {
		t.Errorf("after bye: %v, want %v", err, io.EOF)
	}
}

// The handler has a deadline on its connection, and can change it.
func TestUpgradedConnectionsHaveDeadlines(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		c.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Error("the deadline did nothing")
		}
		c.SetReadDeadline(time.Time{})
		io.WriteString(c, "again\n")
		b := make([]byte, 1)
		if _, err := c.Read(b); err != nil || b[0] != 'x' {
			t.Errorf("got %q, %v; want x", b, err)
		}
		io.WriteString(c, c.RemoteAddr().String()+"\n")
	}))
	c, res := upgrade(t, d, alice, "/", "websocket")
	if res.StatusCode != 101 {
		t.Fatal(res.Status)
	}
	if line, err := c.r.ReadString('\n'); line != "again\n" {
		t.Fatalf("got %q, %v; want again", line, err)
	}
	io.WriteString(c, "x")
	if line, err := c.r.ReadString('\n'); line != c.LocalAddr().String()+"\n" {
		t.Errorf("the remote address is %q, %v", line, err)
	}
}

// Covers K7.
func TestUnlistedUpgradesAreRefused(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, newTestHandler())
	for _, token := range []string{"h2c", "websocket, h2c", "TLS/1.0", "mtlsguard-tunnel/1", "", "web\x01socket"} {
		c := dialRaw(t, d, alice)
		fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", token)
		res, err := http.ReadResponse(c.r, nil)
		switch {
		case err != nil:
			t.Errorf("%q: the request: %v", token, err)
		case token == "" && res.StatusCode == 500: // no upgrade: the handler cannot hijack
		case token == "web\x01socket" && res.StatusCode == 400: // net/http
		case res.StatusCode != 501:
			t.Errorf("%q: answered %d, want 501", token, res.StatusCode)
		}
	}
	c := dialRaw(t, d, alice)
	io.WriteString(c, "CONNECT admin:443 HTTP/1.1\r\nHost: admin:443\r\n\r\n")
	if res, err := http.ReadResponse(c.r, &http.Request{Method: "CONNECT"}); err != nil || res.StatusCode != 501 {
		t.Errorf("CONNECT: %v, %v", res, err)
	}
	c = dialRaw(t, d, alice)
	io.WriteString(c, "POST /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc")
	if res, err := http.ReadResponse(c.r, nil); err != nil || res.StatusCode != 502 {
		t.Errorf("POST: %v, %v", res, err)
	}
}

// Bytes that the client sends after a failed upgrade reach neither the handler nor the HTTP parser:
// they may be in the other protocol. Covers K7, E15.
func TestFailedUpgradeLeavesNoConnection(t *testing.T) {
	t.Parallel()
	d := newDMZWithServer(t, newTestHandler())
	for target, code := range map[string]int{"/ws?no": 418, "/ws?hijacked": 400} {
		c, res := upgrade(t, d, alice, target, "websocket")
		if res.StatusCode != code || !res.Close {
			t.Errorf("%s: %d, announced the end: %t", target, res.StatusCode, res.Close)
		}
		io.Copy(io.Discard, res.Body)
		io.WriteString(c, "GET /alice/x HTTP/1.1\r\nHost: x\r\n\r\n")
		if res, err := http.ReadResponse(c.r, nil); err == nil {
			t.Errorf("%s: bytes after the request were answered: %s", target, res.Status)
		}
	}
	_, res := upgrade(t, d, nil, "/ws", "websocket")
	if res.StatusCode != 403 {
		t.Errorf("without a certificate: %d, want 403", res.StatusCode)
	}
	_, res = upgrade(t, d, bob, "/alice/ws", "websocket")
	if res.StatusCode != 403 {
		t.Errorf("denied: %d, want 403", res.StatusCode)
	}
}

// Covers G4.
func TestRevokedCallerLosesItsWebSocket(t *testing.T) {
	t.Parallel()
	d := newDMZ(t)
	s := startConnected(t, d.serverConfig(t, orders, newGuard(t).Handler(newTestHandler()), "orders"))
	a, res := upgrade(t, d, alice, "/ws", "websocket")
	b, other := upgrade(t, d, bob, "/ws", "websocket")
	if res.StatusCode != 101 || other.StatusCode != 101 {
		t.Fatal(res.Status, other.Status)
	}
	s.trustUsers(t, trusting(t, userCA, alice))
	if _, err := a.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the revoked caller's connection is open: %v", err)
	}
	fmt.Fprintln(b, "still")
	if line, err := b.r.ReadString('\n'); line != "bob received still\n" {
		t.Errorf("the other's connection: %q, %v", line, err)
	}
}
