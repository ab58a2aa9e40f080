package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"time"
)

// direct sends requests that consist of a header alone on the goroutine of the caller's request.
// http.Transport has two goroutines for each connection, and what passes between them costs more
// than the rest of such a request. Requests with a body or an upgrade, and unusual ones, are left
// to the Transport. Writing and parsing are net/http's in both cases.
//
// A connection carries one request at a time. It is kept only if the answer ended where its framing
// says, and it is used again only if the service has sent nothing since.
type direct struct {
	*http.Transport
	idle   idleConns
	settle time.Duration // settleTime
}

// CloseIdleConnections closes the connections without a request, and each further one at the end
// of its request.
func (d *direct) CloseIdleConnections() {
	d.idle.close()
	d.Transport.CloseIdleConnections()
}

// takes reports whether send can send a request. It leaves requests that http.Transport would
// reject to http.Transport.
func (d *direct) takes(r *http.Request) bool {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead: // each may be repeated, see send
		return false
	case r.Body != nil || r.ContentLength != 0 || r.TransferEncoding != nil || r.Trailer != nil:
		return false
	case r.URL == nil || r.URL.Scheme != "http" || r.URL.Host == "":
		return false
	}
	for name, values := range r.Header {
		if name == "Connection" || name == "Upgrade" || name == "Expect" || !isFieldName(name) {
			return false
		}
		for _, v := range values {
			if !isFieldValue(v) {
				return false
			}
		}
	}
	return true
}

// send sends a request and returns the answer. Its body must be read and closed by one goroutine.
// A connection that was kept may be closed by the service at any time: if it answers nothing on it,
// the request is sent again on a new one, as http.Transport does.
func (d *direct) send(r *http.Request) (*http.Response, error) {
	if c := d.idle.take(); c != nil {
		res, err := c.roundTrip(r)
		if err == nil || c.received || isTimeout(err) || r.Context().Err() != nil {
			return res, err
		}
	}
	n, err := d.DialContext(r.Context(), "", "")
	if err != nil {
		if r.Context().Err() != nil {
			err = context.Cause(r.Context())
		}
		return nil, err
	}
	return newDirectConn(n, d).roundTrip(r)
}

// roundTrip sends a request on this connection. The end of its context closes the connection,
// which ends every wait.
func (c *directConn) roundTrip(r *http.Request) (*http.Response, error) {
	stop := context.AfterFunc(r.Context(), func() { c.Close() })
	res, err := c.exchange(r)
	if err != nil {
		stop()
		c.Close()
		if r.Context().Err() != nil {
			err = context.Cause(r.Context())
		}
		return nil, err
	}
	body := &directBody{body: res.Body, conn: c, request: r, stop: stop, keep: !res.Close && !r.Close && !c.failed && res.StatusCode >= http.StatusOK}
	if res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified {
		body.settle = c.of.settle
	}
	if res.Body == http.NoBody && res.StatusCode != http.StatusSwitchingProtocols {
		body.end(io.EOF)
	}
	res.Body = body
	return res, nil
}

// exchange writes a request, and reads the answer but its body.
func (c *directConn) exchange(r *http.Request) (*http.Response, error) {
	c.received, c.left = false, headerBytes
	if err := c.SetDeadline(time.Now().Add(c.of.ResponseHeaderTimeout)); err != nil {
		return nil, err
	}
	written := r.Write(c.out)
	if written == nil {
		written = c.out.Flush()
	}
	c.failed = written != nil // a service may answer before it has read all, for example 431
	res, err := c.readAnswer(r)
	switch {
	case err != nil && isTimeout(err):
		return nil, fmt.Errorf("timeout awaiting response headers: %w", err)
	case err != nil:
		return nil, cmp.Or(written, err)
	}
	c.left = math.MaxInt64
	return res, c.SetDeadline(time.Time{})
}

// readAnswer reads the header of the answer, and of informational ones before it. The limit of
// bytes is for each, as their number is bounded by the deadline, if they are passed on.
func (c *directConn) readAnswer(r *http.Request) (*http.Response, error) {
	if _, err := c.in.Peek(1); err != nil {
		return nil, err
	}
	trace := httptrace.ContextClientTrace(r.Context())
	for {
		res, err := http.ReadResponse(c.in, r)
		if err != nil {
			return nil, err
		}
		if res.StatusCode < http.StatusContinue || res.StatusCode >= http.StatusOK || res.StatusCode == http.StatusSwitchingProtocols {
			return res, nil // 101 is an error later: no such request asks for an upgrade
		}
		if trace != nil && trace.Got1xxResponse != nil {
			if err := trace.Got1xxResponse(res.StatusCode, textproto.MIMEHeader(res.Header)); err != nil {
				return nil, err
			}
			c.left = headerBytes
		}
	}
}

var errBodyClosed = errors.New("the body is closed")

// directBody is the body of an answer.
type directBody struct {
	body    io.ReadCloser
	conn    *directConn // of another request after the end
	request *http.Request
	stop    func() bool
	keep    bool
	settle  time.Duration // from the end until the connection may have another request
	err     error         // why it has ended
}

// settleTime is how long a connection has no request after an answer without a body. Faulty services send one
// all the same, a moment after the header: it would be read as the answer to the next request, which may be another
// caller's. After an answer to HEAD, where that is most frequent, the connection is closed.
const settleTime = 10 * time.Millisecond

// Read implements io.Reader.
func (b *directBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.body.Read(p)
	if err != nil {
		if err != io.EOF && b.request.Context().Err() != nil {
			err = context.Cause(b.request.Context())
		}
		b.end(err)
	}
	return n, err
}

// Close implements io.Closer. It does not wait for the rest of the body: it closes the connection.
func (b *directBody) Close() error {
	if b.err == nil {
		b.end(errBodyClosed)
	}
	return nil
}

// end gives the connection back if the body has ended with io.EOF, or closes it.
func (b *directBody) end(err error) {
	b.err = err
	if stopped := b.stop(); !stopped || err != io.EOF || !b.keep {
		b.conn.Close()
		return
	}
	if b.conn.in.Buffered() > 0 {
		b.conn.surplus()
		return
	}
	if b.settle > 0 {
		c := b.conn
		time.AfterFunc(b.settle, func() { c.of.idle.put(c) })
		return
	}
	b.conn.of.idle.put(b.conn)
}

// surplus closes a connection on which the service has sent more than its answer. It logs what
// net/http logs, but no byte of it.
func (c *directConn) surplus() {
	log.Print("Unsolicited response received on idle HTTP channel")
	c.Close()
}
