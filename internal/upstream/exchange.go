package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/abort"
	"github.com/mtlsguard/mtlsguard/internal/token"
)

var errIdle = errors.New("no byte has moved for the time of idle")

// exchange is one request and its answer.
type exchange struct {
	upstream *Upstream
	in       *http.Request
	caller   token.Caller
	identity []field // the headers that carry the caller, without the signed one
	body     *requestBody
	retried  int
	timer    *time.Timer
	ended    atomic.Bool // the transport may still read the caller's body

	mu      sync.Mutex
	readErr error // why the service's answer ended early
}

type exchangeKey struct{}

// exchangeOf returns the exchange of a request that ServeHTTP forwards.
func exchangeOf(r *http.Request) *exchange { return r.Context().Value(exchangeKey{}).(*exchange) }

// begin starts to watch that bytes move: a service that is silent, or does not read, would hold
// the request for ever. Not every wait has a deadline of its own: on HTTP/2 requests share a
// connection, which may be alive while one of its streams is stuck.
func (x *exchange) begin(ctx context.Context) (watched context.Context, end func()) {
	watched, cancel := context.WithCancelCause(ctx)
	x.timer = time.AfterFunc(x.upstream.config.Idle, func() { cancel(errIdle) })
	return watched, func() {
		x.ended.Store(true)
		x.timer.Stop()
		cancel(nil)
	}
}

// moved records that bytes have moved.
func (x *exchange) moved() {
	if !x.ended.Load() {
		x.timer.Reset(x.upstream.config.Idle)
	}
}

// failed records why the answer ended early.
func (x *exchange) failed(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.readErr == nil {
		x.readErr = err
	}
}

// answerError returns why the answer ended early, or nil if the caller ended it.
func (x *exchange) answerError(ctx context.Context) error {
	if context.Cause(ctx) == errIdle {
		return errIdle
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.readErr
}

// watchAnswer watches the body of an answer, or the connection after an upgrade. It rejects a
// status that net/http would not write.
func (*Upstream) watchAnswer(res *http.Response) error {
	if res.StatusCode < http.StatusOK && res.StatusCode != http.StatusSwitchingProtocols || res.StatusCode > 999 {
		return fmt.Errorf("the status is %03d, which HTTP does not have", res.StatusCode)
	}
	x := exchangeOf(res.Request)
	body := &answerBody{res.Body, x}
	if conn, ok := res.Body.(io.ReadWriteCloser); ok && res.StatusCode == http.StatusSwitchingProtocols {
		res.Body = &upgradedConn{body, conn}
		return nil
	}
	if len(res.Trailer) > 0 && res.Request.Method != http.MethodHead {
		res.Header.Del("Content-Length") // HTTP/1.1 has trailers only after chunks
		res.ContentLength = -1
	}
	res.Body = body
	return nil
}

// answerBody is the body of an answer.
type answerBody struct {
	io.ReadCloser
	x *exchange
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.x.moved()
	}
	if err != nil && err != io.EOF {
		b.x.failed(err)
	}
	return n, err
}

// upgradedConn is the connection to the service after an upgrade.
type upgradedConn struct {
	*answerBody
	conn io.ReadWriteCloser
}

func (c *upgradedConn) Write(p []byte) (int, error) {
	n, err := c.conn.Write(p)
	if n > 0 {
		c.x.moved()
	}
	return n, err
}

// CloseWrite closes the direction of Write, so that the other one can go on.
func (c *upgradedConn) CloseWrite() error {
	if w, ok := c.conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return c.conn.Close()
}

// upgradeWriter closes the caller's connection with the exchange: after an upgrade, nothing
// else would end a write to a caller that does not read.
type upgradeWriter struct {
	http.ResponseWriter
	ctx context.Context
}

// Hijack implements http.Hijacker.
func (w *upgradeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		context.AfterFunc(w.ctx, func() { c.Close() })
	}
	return c, buffered, err
}

// Unwrap is for http.ResponseController.
func (w *upgradeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// abortHTTP1 aborts the connection of a request of HTTP/1. For HTTP/2 net/http resets the
// stream.
func abortHTTP1(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 {
		return
	}
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		abort.Conn(c)
	}
}
