package outbound

import (
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
)

// body ends a call when it is closed or cannot be read further.
type body struct {
	io.ReadCloser
	pool  *pool
	from  *url.URL
	began int64
	ended atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		if err != io.EOF {
			b.pool.noteFailure(originOf(b.from).String(), b.began)
		}
		b.end()
	}
	return n, err
}

func (b *body) Close() error {
	err := b.ReadCloser.Close()
	b.end()
	return err
}

func (b *body) end() {
	if !b.ended.Swap(true) {
		b.pool.release()
	}
}

// upgraded is the body of an answer 101, which is written to as well.
type upgraded struct {
	*body
	io.Writer
}

// Read keeps the end of the peer's side apart from the end of the call: the other
// side may still be written to.
func (u upgraded) Read(p []byte) (int, error) { return u.body.ReadCloser.Read(p) }

// until gives the call back to its pool when the response has been consumed.
func (p *pool) until(response *http.Response, began int64) {
	if response.Body == nil || response.Body == http.NoBody || response.Request.Method == http.MethodHead {
		p.release()
		return
	}
	b := &body{ReadCloser: response.Body, pool: p, from: response.Request.URL, began: began}
	response.Body = b
	if w, ok := b.ReadCloser.(io.Writer); ok && response.StatusCode == http.StatusSwitchingProtocols {
		response.Body = upgraded{b, w}
	}
}
