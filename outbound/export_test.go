package outbound

import (
	"net"
	"net/http"
)

// Choose does for a request what comes before net/http, and takes it back.
func (t *Transport) Choose(r *http.Request) error {
	p, _, err := t.choose(r)
	if err == nil {
		p.release()
	}
	return err
}

// Dial opens a connection in the pool of a request that net/http knows nothing of.
func (t *Transport) Dial(r *http.Request, addr string) (net.Conn, error) {
	p, _, err := t.choose(r)
	if err != nil {
		return nil, err
	}
	defer p.release()
	return p.dial(r.Context(), "tcp", addr)
}

// Found finds the pool of a request. What it returns takes and leaves that pool, if
// it can be taken.
func (t *Transport) Found(r *http.Request) (again func() bool, err error) {
	p, _, err := t.choose(r)
	if err != nil {
		return nil, err
	}
	p.release()
	return func() bool {
		taken := p.acquire(t.clock.now())
		if taken {
			p.release()
		}
		return taken
	}, nil
}

// HTTP2 is what net/http is told about HTTP/2.
func (t *Transport) HTTP2() http.HTTP2Config { return *t.base.HTTP2 }
