package outbound

import (
	"net"
	"net/http"
	"time"
)

// Choose chooses the identity and pool of a request, and releases the pool.
func (t *Transport) Choose(r *http.Request) error {
	p, _, err := t.choose(r)
	if err == nil {
		p.release()
	}
	return err
}

// Dial opens a connection in the pool of a request, without net/http.
func (t *Transport) Dial(r *http.Request, addr string) (net.Conn, error) {
	p, _, err := t.choose(r)
	if err != nil {
		return nil, err
	}
	defer p.release()
	return p.dial(r.Context(), "tcp", addr)
}

// FindPool returns a function that acquires and releases the pool of a request. The
// function returns false if the pool is retired.
func (t *Transport) FindPool(r *http.Request) (acquire func() bool, err error) {
	p, _, err := t.choose(r)
	if err != nil {
		return nil, err
	}
	p.release()
	return func() bool {
		ok := p.acquire(t.now().UnixNano())
		if ok {
			p.release()
		}
		return ok
	}, nil
}

// NameOf returns a name in DER as text for an error.
func NameOf(der []byte) string { return nameOf(der) }

// HTTP2 returns the configuration of net/http's HTTP/2.
func (t *Transport) HTTP2() http.HTTP2Config { return *t.base.HTTP2 }

// Fingerprint returns the SHA-256 of the leaf in lower-case hex.
func (c *Credential) Fingerprint() string { return c.fingerprint }

// ValidAt reports whether the certificate is valid at a time.
func (c *Credential) ValidAt(at time.Time) bool { return c.validAt(at.Unix()) }
