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

// Who is called as whom, on every pair of protocols.
// Covers J1.
func TestContextChoosesTheCertificate(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "alice", "bob")
			w.config.Default = "bob"
			c, s := w.client(), serve(t, nil, v.options...)
			for range 3 {
				expect(t, as(t, "alice"), c, s.URL, "alice")
				expect(t, as(t, "bob"), c, s.URL, "bob")
				expect(t, outbound.AsNobody(t.Context()), c, s.URL, "nobody")
				expect(t, t.Context(), c, s.URL, "bob")
				expect(t, outbound.AsDefault(as(t, "alice")), c, s.URL, "bob")
				expect(t, outbound.As(outbound.AsNobody(t.Context()), "alice"), c, s.URL, "alice")
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

// What fails before anything is dialled.
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
		change func(*world)
		url    string
		want   error
	}{
		{"nothing chosen", nil, nil, s.URL, outbound.ErrNoIdentity},
		{"the default, without one", outbound.AsDefault, nil, s.URL, outbound.ErrNoIdentity},
		{"unknown alias", alias("carol"), nil, s.URL, outbound.ErrUnknownAlias},
		{"empty alias", alias(""), nil, s.URL, outbound.ErrUnknownAlias},
		{"the default is unknown", nil, func(w *world) { w.config.Default = "carol" }, s.URL, outbound.ErrUnknownAlias},
		{"unknown alias, with a default", alias("carol"), func(w *world) { w.config.Default = "alice" }, s.URL, outbound.ErrUnknownAlias},
		{"http", alias("alice"), nil, strings.Replace(s.URL, "https", "http", 1), outbound.ErrOrigin},
		{"another origin", alias("alice"), func(w *world) {
			w.put(w.credential("alice", clientCA.Leaf("alice"), "https://api.partner.example", "https://127.0.0.1:1"))
		}, s.URL, outbound.ErrOrigin},
		{"expired", alias("alice"), func(w *world) { w.put(w.credential("alice", clientCA.Leaf("alice", expired))) }, s.URL, errRefusedAs(reason.Expired)},
		{"not yet valid", alias("alice"), func(w *world) { w.put(w.credential("alice", clientCA.Leaf("alice", future))) }, s.URL, errRefusedAs(reason.NotYetValid)},
		{"not allowed", alias("alice"), func(w *world) {
			w.config.Allow = func(context.Context, string) error { return errFault }
		}, s.URL, errFault},
		{"the keystore has a fault", alias("alice"), func(w *world) {
			w.config.Keystore = keystoreFunc(func(string) (*outbound.Credential, error) { return nil, errFault })
		}, s.URL, errFault},
		{"the keystore answers nothing", alias("alice"), func(w *world) {
			w.config.Keystore = keystoreFunc(func(string) (*outbound.Credential, error) { return nil, nil })
		}, s.URL, outbound.ErrUnknownAlias},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := newWorld(t, "alice")
			w.config.Base = &http.Transport{DialContext: dialled}
			if row.change != nil {
				row.change(w)
			}
			ctx := t.Context()
			if row.ctx != nil {
				ctx = row.ctx(ctx)
			}
			fails(t, ctx, w.client(), row.url, row.want)
		})
	}
	if s.conns.Load() != 0 {
		t.Errorf("%d connections", s.conns.Load())
	}
}

var errFault = errors.New("fault")

type keystoreFunc func(string) (*outbound.Credential, error)

func (f keystoreFunc) Credential(alias string) (*outbound.Credential, error) { return f(alias) }

func alias(name string) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context { return outbound.As(ctx, name) }
}

// A keystore that answers with someone else, or with what nobody made, is not believed.
// Covers J1.
func TestWrongCredentialOfAKeystoreIsNotPresented(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	w := newWorld(t)
	bob := w.credential("bob", clientCA.Leaf("bob"))
	for _, answer := range []*outbound.Credential{bob, {}} {
		w.config.Keystore = keystoreFunc(func(string) (*outbound.Credential, error) { return answer, nil })
		if got, err := get(as(t, "alice"), w.client(), s.URL); err == nil {
			t.Errorf("%v: %q", answer, got)
		}
	}
	if s.conns.Load() != 0 {
		t.Errorf("%d connections", s.conns.Load())
	}
}

// The body is closed whatever happens, as http.RoundTripper demands.
func TestRequestBodyIsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alice")
	body := &closer{Reader: strings.NewReader("x")}
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

type closer struct {
	*strings.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }
