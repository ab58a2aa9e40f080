package outbound_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/reason"
)

var versions = []struct {
	name    string
	options []option
}{
	{"HTTP/2, TLS 1.3", nil},
	{"HTTP/2, TLS 1.2", []option{tls12}},
	{"HTTP/1.1, TLS 1.3", []option{http1}},
	{"HTTP/1.1, TLS 1.2", []option{http1, tls12}},
}

// The context chooses the certificate, on every pair of protocols.
// Covers J1.
func TestContextChoosesTheCertificate(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w := newFixture(t, "alice", "bob")
			w.config.Default = "bob"
			c, s := w.client(), serve(t, nil, v.options...)
			for range 3 {
				wantBody(t, as(t, "alice"), c, s.URL, "alice")
				wantBody(t, as(t, "bob"), c, s.URL, "bob")
				wantBody(t, outbound.AsNobody(t.Context()), c, s.URL, "anonymous")
				wantBody(t, t.Context(), c, s.URL, "bob")
				wantBody(t, outbound.AsDefault(as(t, "alice")), c, s.URL, "bob")
				wantBody(t, outbound.As(outbound.AsNobody(t.Context()), "alice"), c, s.URL, "alice")
			}
			if got := s.conns.Load(); got != 3 {
				t.Errorf("%d connections, want one for each of three", got)
			}
			protocol := "HTTP/2.0"
			if strings.HasPrefix(v.name, "HTTP/1.1") {
				protocol = "HTTP/1.1"
			}
			r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", s.URL, nil)
			response, err := c.Transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.Proto != protocol || response.Request != r {
				t.Errorf("%s; the request of the response is %p, want %p", response.Proto, response.Request, r)
			}
		})
	}
}

// These calls fail before a connection is dialled.
// Covers J3.
func TestCallWithoutAnIdentityFailsBeforeDialling(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	dialled := func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("dialled")
	}
	for _, row := range []struct {
		name   string
		ctx    func(context.Context) context.Context
		change func(*fixture)
		url    string
		want   error
	}{
		{"nothing chosen", nil, nil, s.URL, outbound.ErrNoIdentity},
		{"the default, without one", outbound.AsDefault, nil, s.URL, outbound.ErrNoIdentity},
		{"unknown alias", chooseAlias("carol"), nil, s.URL, outbound.ErrUnknownAlias},
		{"empty alias", chooseAlias(""), nil, s.URL, outbound.ErrUnknownAlias},
		{"the default is unknown", nil, func(w *fixture) { w.config.Default = "carol" }, s.URL, outbound.ErrUnknownAlias},
		{"unknown alias, with a default", chooseAlias("carol"), func(w *fixture) { w.config.Default = "alice" }, s.URL, outbound.ErrUnknownAlias},
		{"http", chooseAlias("alice"), nil, strings.Replace(s.URL, "https", "http", 1), outbound.ErrOrigin},
		{"another origin", chooseAlias("alice"), func(w *fixture) {
			w.put(w.credential("alice", clientCA.Leaf("alice"), "https://api.partner.example", "https://127.0.0.1:1"))
		}, s.URL, outbound.ErrOrigin},
		{"expired", chooseAlias("alice"), func(w *fixture) { w.put(w.credential("alice", clientCA.Leaf("alice", expired))) }, s.URL, errRefusedAs(reason.Expired)},
		{"not yet valid", chooseAlias("alice"), func(w *fixture) { w.put(w.credential("alice", clientCA.Leaf("alice", future))) }, s.URL, errRefusedAs(reason.NotYetValid)},
		{"not allowed", chooseAlias("alice"), func(w *fixture) {
			w.config.Allow = func(context.Context, string) error { return errFault }
		}, s.URL, errFault},
		{"the keystore has a fault", chooseAlias("alice"), func(w *fixture) {
			w.config.Keystore = keystoreFunc(func(string) (*outbound.Credential, error) { return nil, errFault })
		}, s.URL, errFault},
		{"the keystore returns nil", chooseAlias("alice"), func(w *fixture) {
			w.config.Keystore = keystoreFunc(func(string) (*outbound.Credential, error) { return nil, nil })
		}, s.URL, outbound.ErrUnknownAlias},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newFixture(t, "alice")
			w.config.Base = &http.Transport{DialContext: dialled}
			if row.change != nil {
				row.change(w)
			}
			ctx := t.Context()
			if row.ctx != nil {
				ctx = row.ctx(ctx)
			}
			wantError(t, ctx, w.client(), row.url, row.want)
		})
	}
	if s.conns.Load() != 0 {
		t.Errorf("%d connections", s.conns.Load())
	}
}

var errFault = errors.New("fault")

type keystoreFunc func(string) (*outbound.Credential, error)

func (f keystoreFunc) Credential(alias string) (*outbound.Credential, error) { return f(alias) }

func chooseAlias(name string) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context { return outbound.As(ctx, name) }
}

// A credential of another alias, or one that NewCredential did not make, is not presented.
// Covers J1.
func TestWrongCredentialOfAKeystoreIsNotPresented(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	w := newFixture(t)
	bob := w.credential("bob", clientCA.Leaf("bob"))
	for _, answer := range []*outbound.Credential{bob, {}} {
		w.config.Keystore = keystoreFunc(func(string) (*outbound.Credential, error) { return answer, nil })
		if got, err := get(as(t, "alice"), w.client(), s.URL); err == nil {
			t.Errorf("%v: got %q, want an error", answer, got)
		}
	}
	if s.conns.Load() != 0 {
		t.Errorf("%d connections", s.conns.Load())
	}
}

// The body is always closed, as http.RoundTripper demands.
func TestRequestBodyIsClosed(t *testing.T) {
	t.Parallel()
	w := newFixture(t, "alice")
	body := &trackedBody{Reader: strings.NewReader("x")}
	r, err := http.NewRequestWithContext(as(t, "carol"), "POST", "https://127.0.0.1:1", body)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.transport().RoundTrip(r); !errors.Is(err, outbound.ErrUnknownAlias) || !body.closed {
		t.Errorf("%v, closed %v", err, body.closed)
	}
	if _, err := w.transport().RoundTrip((&http.Request{}).WithContext(as(t, "alice"))); err == nil {
		t.Error("a request without a URL")
	}
}

type trackedBody struct {
	*strings.Reader
	closed bool
}

func (c *trackedBody) Close() error { c.closed = true; return nil }
