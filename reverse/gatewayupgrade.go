package reverse

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/abort"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
)

var errUpgradeMethod = errors.New("reverse: only a GET without a body can be upgraded")

// sendUpgrade sends a request for an upgrade through a tunnel. A stream of HTTP/2 cannot be
// upgraded, so the request becomes a POST: its body is what the client sends after the
// upgrade, and the answer's body is what the handler writes on the connection that it
// hijacks. If the handler does not hijack, it answers as usual, and the body is closed:
// otherwise bytes smuggled behind the request would reach the handler.
func (t *gatewayTunnel) sendUpgrade(r *http.Request, x *exchange) (*http.Response, error) {
	if r.Method != http.MethodGet || r.Body != nil && r.Body != http.NoBody {
		return nil, errUpgradeMethod
	}
	body, up := io.Pipe()
	out := r.WithContext(r.Context())
	out.Method, out.Body, out.ContentLength = http.MethodPost, body, -1
	out.Header = r.Header.Clone()
	out.Header.Del("Connection")
	out.Header.Del("Upgrade")
	out.Header[wire.HeaderUpgrade] = []string{x.upgrade}
	res, err := t.client.RoundTrip(out)
	if err != nil {
		up.Close()
		return nil, err
	}
	t.noteBusy(res)
	if kind, _ := wire.SingleValue(res.Header, wire.HeaderKind); kind != wire.KindHijacked || res.StatusCode != http.StatusOK {
		up.Close()
		return res, nil
	}
	return readHijackedAnswer(r, res, up, x.upgrader.abort)
}

// readHijackedAnswer reads what a handler has written on the connection that it hijacked:
// an answer of HTTP/1.1. abort aborts the client's connection.
func readHijackedAnswer(r *http.Request, res *http.Response, up *io.PipeWriter, abort func()) (*http.Response, error) {
	header := &io.LimitedReader{R: res.Body, N: wire.MaxHeaderBytes}
	down := bufio.NewReader(header)
	answer, err := http.ReadResponse(down, r)
	if err != nil {
		up.Close()
		res.Body.Close()
		return nil, err
	}
	header.N = 1<<63 - 1 // no limit after the header
	if answer.StatusCode != http.StatusSwitchingProtocols {
		up.Close()
		answer.Body = &answerBody{ReadCloser: answer.Body, stream: res.Body}
		return answer, nil
	}
	answer.Body = &upgradedConn{r: down, down: res.Body, up: up, abort: abort}
	return answer, nil
}

// upgradedConn is a connection through the tunnel after an upgrade.
type upgradedConn struct {
	r     *bufio.Reader
	down  io.Closer
	up    *io.PipeWriter
	abort func()
}

// Read reads what the handler writes. If the tunnel breaks, Read aborts the client's
// connection before ReverseProxy can close it regularly.
func (c *upgradedConn) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	if err != nil && err != io.EOF {
		c.abort()
	}
	return n, err
}

// Write implements io.Writer.
func (c *upgradedConn) Write(b []byte) (int, error) { return c.up.Write(b) }

// CloseWrite closes the direction of Write.
func (c *upgradedConn) CloseWrite() error { return c.up.Close() }

// Close implements io.Closer.
func (c *upgradedConn) Close() error {
	c.up.Close()
	return c.down.Close()
}

// answerBody is the body of an answer without an upgrade.
type answerBody struct {
	io.ReadCloser
	stream io.Closer
}

// Close implements io.Closer.
func (b *answerBody) Close() error {
	b.ReadCloser.Close()
	return b.stream.Close()
}

// upgradeWriter keeps the client's connection that ReverseProxy hijacks for an upgrade.
type upgradeWriter struct {
	http.ResponseWriter
	idle time.Duration // time for the client to take the next bytes
	mu   sync.Mutex
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (u *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buffered, err := http.NewResponseController(u.ResponseWriter).Hijack()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conn = c
	if err != nil {
		return nil, nil, err
	}
	c.SetWriteDeadline(time.Now().Add(u.idle)) // for the answer's header, which is not written to idleConn
	return idleConn{c, u.idle}, buffered, nil
}

// Unwrap returns the inner writer, for http.ResponseController.
func (u *upgradeWriter) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// abort aborts the client's connection after the tunnel has broken.
func (u *upgradeWriter) abort() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.conn != nil {
		abort.Conn(u.conn)
	}
}

// idleConn bounds how long each Write waits for a client that does not read.
type idleConn struct {
	net.Conn
	idle time.Duration
}

// Write implements net.Conn.
func (c idleConn) Write(b []byte) (int, error) {
	c.SetWriteDeadline(time.Now().Add(c.idle))
	return c.Conn.Write(b)
}

// CloseWrite closes the direction of Write, or the connection if it cannot.
func (c idleConn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.Close()
}
