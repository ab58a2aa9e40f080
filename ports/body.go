package ports

import (
	"io"
	"net/http"
	"time"
)

// serveBody serves a request of HTTP/1 with a body. Before net/http sends an answer it
// reads what the handler left of the body, and without a deadline it would wait for
// ever: a client that is refused could hold its connection with a body that never
// comes. So the client has Limits.Headers for a body that nobody reads, and
// Limits.Idle for each part that the handler reads.
func serveBody(next http.Handler, w http.ResponseWriter, r *http.Request, c *Conn, l Limits) {
	raw := c.raw
	raw.limitRead(time.Now().Add(l.Headers))
	own := *r // a copy: net/http looks at the body of its own request
	own.Body = limitedBody{r.Body, raw, l.Idle}
	next.ServeHTTP(w, &own)
	r.MultipartForm = own.MultipartForm // net/http removes its files
	if !c.hijacked.Load() {
		raw.limitRead(time.Now().Add(l.Headers)) // until the connection is idle
	}
}

// limitedBody limits the wait of each Read.
type limitedBody struct {
	io.ReadCloser
	raw  *rawConn
	idle time.Duration
}

func (b limitedBody) Read(p []byte) (int, error) {
	b.raw.limitRead(time.Now().Add(b.idle))
	n, err := b.ReadCloser.Read(p)
	b.raw.limitRead(time.Time{}) // from here on the time is the handler's
	return n, err
}
