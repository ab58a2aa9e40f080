package ports

import (
	"io"
	"net/http"
	"sync"
	"time"
)

// serveUnwanted serves an HTTP/1 request with a body. Before net/http sends an answer
// it reads what the handler left of the body, and without a deadline it would wait
// for ever: a client that is refused could hold its connection with a body that never
// comes. So the client has patience for what nobody reads; from the handler's first
// Read on the time is the handler's.
func serveUnwanted(next http.Handler, w http.ResponseWriter, r *http.Request, patience time.Duration) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(patience))
	body := &wanted{ReadCloser: r.Body, begin: sync.OnceFunc(func() { _ = control.SetReadDeadline(time.Time{}) })}
	own := *r // a copy: net/http looks at the body of its own request
	own.Body = body
	next.ServeHTTP(w, &own)
	r.MultipartForm = own.MultipartForm // net/http removes its files
	if c, ok := FromContext(r.Context()); ok && c.hijacked.Load() {
		return
	}
	_ = control.SetReadDeadline(time.Now().Add(patience)) // until net/http sets its own for the next request
}

// wanted is a body that tells when a handler begins to read it.
type wanted struct {
	io.ReadCloser
	begin func()
}

func (b *wanted) Read(p []byte) (int, error) {
	b.begin()
	return b.ReadCloser.Read(p)
}
