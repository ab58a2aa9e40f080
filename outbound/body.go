package outbound

import (
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
)

// body is a response body that ends its call when it is closed or read to its end.
type body struct {
	io.ReadCloser
	pool  *pool
	url   *url.URL
	began int64
	ended atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		if err != io.EOF {
			b.pool.markSuspect(originOf(b.url).String(), b.began)
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

// upgraded is the body of a 101 response, which can also be written to.
type upgraded struct {
	*body
	io.Writer
}

// Read does not end the call at the end of the input: the peer may have closed its side
// only, and the other side can still be written to.
func (u upgraded) Read(p []byte) (int, error) { return u.body.ReadCloser.Read(p) }

// releaseAtEnd releases the pool when the response has been consumed.
func (p *pool) releaseAtEnd(response *http.Response, began int64) {
	if response.Body == nil || response.Body == http.NoBody || response.Request.Method == http.MethodHead {
		p.release()
		return
	}
	b := &body{ReadCloser: response.Body, pool: p, url: response.Request.URL, began: began}
	response.Body = b
	if w, ok := b.ReadCloser.(io.Writer); ok && response.StatusCode == http.StatusSwitchingProtocols {
		response.Body = upgraded{b, w}
	}
}
