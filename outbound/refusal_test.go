package outbound_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/reason"
)

// A server that refuses the certificate ends the call with a typed error that has the alias,
// after one attempt, and without another identity.
// Covers J9.
func TestRefusalOfAServerIsTheErrorOfTheCall(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, "alice")
			w.put(w.credential("untrusted", testpki.NewCA("Other CA").Leaf("untrusted")))
			w.config.Default = "alice"
			c, s := w.client(), serve(t, nil, append([]option{requires}, v.options...)...)
			for _, method := range []string{"GET", "POST"} {
				w.takeEvents()
				before := s.conns.Load()
				r, _ := http.NewRequestWithContext(as(t, "untrusted"), method, s.URL, strings.NewReader("x"))
				got, err := read(c.Do(r))
				refusal, ok := errors.AsType[*reason.Refusal](err)
				e, typed := errors.AsType[*outbound.Error](err)
				switch {
				case !errors.Is(err, outbound.ErrServerRefused) || !ok || !typed:
					t.Errorf("%s: got %q, %v; want ErrServerRefused with a reason", method, got, err)
				case refusal.Reason != reason.BadCertificate && refusal.Reason != reason.UnknownAuthority || e.Alias != "untrusted" || e.Origin != s.URL:
					t.Errorf("%s: got %s for alias %q at %q, want a refused certificate of alias untrusted", method, refusal.Reason, e.Alias, e.Origin)
				case !strings.Contains(err.Error(), `the server refused the certificate of alias "untrusted"`):
					t.Error(err)
				}
				if n := s.conns.Load() - before; n != 1 {
					t.Errorf("%s: %d attempts", method, n)
				}
				for _, h := range w.takeEvents() {
					if h.Alias != "untrusted" || !h.Asked || !h.Sent {
						t.Errorf("got %+v, want a handshake that sent the certificate", h)
					}
				}
			}
			wantError(t, outbound.AsNobody(t.Context()), c, s.URL, outbound.ErrServerRefused)
			wantBody(t, as(t, "alice"), c, s.URL, "alice")
			if s.withoutCert.Load() != 0 {
				t.Error("the server got a request without a certificate")
			}
		})
	}
}

// lateWriter delays its writes until the server has refused and closed the connection.
type lateWriter struct {
	net.Conn
	writes atomic.Int64
}

func (l *lateWriter) Write(p []byte) (int, error) {
	if l.writes.Add(1) > 1 {
		time.Sleep(20 * time.Millisecond)
	}
	return l.Conn.Write(p)
}

// The refusal is reported even if the request could not be written.
// Covers J9.
func TestRefusalBeforeTheRequestIsFound(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w, s := newFixture(t), serve(t, nil, append([]option{requires}, v.options...)...)
			w.put(w.credential("untrusted", testpki.NewCA("Other CA").Leaf("untrusted")))
			w.config.Base = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				return &lateWriter{Conn: conn}, err
			}}
			c := w.client()
			for _, method := range []string{"GET", "POST", "GET"} {
				before := s.conns.Load()
				r, _ := http.NewRequestWithContext(as(t, "untrusted"), method, s.URL, strings.NewReader(strings.Repeat("x", 100_000)))
				if got, err := read(c.Do(r)); !errors.Is(err, outbound.ErrServerRefused) || s.conns.Load() != before+1 {
					t.Errorf("%s: %q, %v, %d attempts", method, got, err, s.conns.Load()-before)
				}
			}
		})
	}
}
