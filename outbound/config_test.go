package outbound_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
)

// New rejects a base that would present another identity or none, or would not verify the
// server.
// Covers J7.
func TestNewRefusesWhateverBypassesTheIdentity(t *testing.T) {
	t.Parallel()
	certificate := clientCA.Leaf("alice").TLS()
	base := func(change func(*http.Transport)) func(*outbound.Config) {
		return func(c *outbound.Config) {
			c.Base = &http.Transport{TLSClientConfig: &tls.Config{}}
			change(c.Base)
		}
	}
	ofTLS := func(change func(*tls.Config)) func(*outbound.Config) {
		return base(func(b *http.Transport) { change(b.TLSClientConfig) })
	}
	for _, row := range []struct {
		name   string
		change func(*outbound.Config)
		want   string
	}{
		{"no keystore", func(c *outbound.Config) { c.Keystore = nil }, "Keystore is nil"},
		{"no roots", func(c *outbound.Config) { c.Roots = nil }, "no roots"},
		{"no roots, a base", func(c *outbound.Config) { c.Roots = nil; c.Base = &http.Transport{} }, "no roots"},
		{"empty roots", func(c *outbound.Config) { c.Roots = x509.NewCertPool() }, "Roots is empty"},
		{"roots twice", func(c *outbound.Config) { c.SystemRoots = true }, "more than once"},
		{"roots twice, in the base", ofTLS(func(c *tls.Config) { c.RootCAs = serverCA.Pool() }), "more than once"},
		{"a bad default", func(c *outbound.Config) { c.Default = "a b" }, "is not an alias"},
		{"CrossOrigin", func(c *outbound.Config) { c.CrossOrigin = 3 }, "CrossOrigin"},
		{"negative", func(c *outbound.Config) { c.MaxPools = -1 }, "negative"},
		{"negative", func(c *outbound.Config) { c.IdleTimeout = -1 }, "negative"},
		{"negative", func(c *outbound.Config) { c.Drain = -1 }, "negative"},
		{"renegotiation of http", func(c *outbound.Config) { c.Renegotiate = []string{"http://x"} }, "https only"},
		{"renegotiation without HTTP/1.1", func(c *outbound.Config) {
			c.Renegotiate = []string{"https://x"}
			c.Base = &http.Transport{Protocols: new(http.Protocols)}
			c.Base.Protocols.SetHTTP2(true)
		}, "HTTP/1.1"},
		{"DialTLSContext", base(func(b *http.Transport) {
			b.DialTLSContext = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		}), "dials TLS itself"},
		{"DialTLS", base(func(b *http.Transport) {
			//lint:ignore SA1019 it would bypass the identity too
			b.DialTLS = func(string, string) (net.Conn, error) { return nil, nil }
		}), "dials TLS itself"},
		{"a protocol of its own", base(func(b *http.Transport) {
			b.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{"h2": nil}
		}), "TLSNextProto"},
		{"Certificates", ofTLS(func(c *tls.Config) { c.Certificates = []tls.Certificate{certificate} }), "client certificate of its own"},
		{"GetClientCertificate", ofTLS(func(c *tls.Config) {
			c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
		}), "client certificate of its own"},
		{"a session cache", ofTLS(func(c *tls.Config) { c.ClientSessionCache = tls.NewLRUClientSessionCache(1) }), "session cache"},
		{"InsecureSkipVerify", ofTLS(func(c *tls.Config) { c.InsecureSkipVerify = true }), "InsecureSkipVerify"},
		{"VerifyPeerCertificate", ofTLS(func(c *tls.Config) {
			c.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return nil }
		}), "VerifyPeerCertificate"},
		{"ServerName", ofTLS(func(c *tls.Config) { c.ServerName = "x" }), `every server as "x"`},
		{"Renegotiation", ofTLS(func(c *tls.Config) { c.Renegotiation = tls.RenegotiateFreelyAsClient }), "renegotiate"},
		{"TLS 1.0", ofTLS(func(c *tls.Config) { c.MinVersion = tls.VersionTLS10 }), "before TLS 1.2"},
		{"at most TLS 1.1", ofTLS(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 }), "before TLS 1.2"},
	} {
		w := newFixture(t)
		row.change(&w.config)
		_, err := outbound.New(w.config)
		if all := configerror.All(err); len(all) != 1 || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.name, err, row.want)
		}
	}
	_, err := outbound.New(outbound.Config{Default: "/", CrossOrigin: -1, Drain: -1, Renegotiate: []string{"x", "https://y"}})
	if all := configerror.All(err); len(all) != 6 {
		t.Errorf("%d errors: %v", len(all), err)
	}
}

// A valid base works in every protocol, also a base that has been used before.
// Covers J7.
func TestBaseIsUsedInEveryProtocol(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	for _, row := range []struct {
		name, want string
		change     func(*http.Transport)
	}{
		{"unchanged", "HTTP/2.0", func(*http.Transport) {}},
		{"HTTP/1.1 only", "HTTP/1.1", func(b *http.Transport) { b.Protocols = new(http.Protocols); b.Protocols.SetHTTP1(true) }},
		{"HTTP/2 only", "HTTP/2.0", func(b *http.Transport) { b.Protocols = new(http.Protocols); b.Protocols.SetHTTP2(true) }},
		{"HTTP/2 turned off by TLSNextProto", "HTTP/1.1", func(b *http.Transport) {
			b.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
		}},
		//lint:ignore SA1019 net/http still uses it
		{"Dial", "HTTP/2.0", func(b *http.Transport) { b.Dial = net.Dial }},
		{"used before", "HTTP/2.0", func(b *http.Transport) {
			b.ForceAttemptHTTP2 = true
			if _, err := read((&http.Client{Transport: b}).Get(s.URL)); err != nil {
				t.Error(err)
			}
			b.CloseIdleConnections()
		}},
		{"used before, then without HTTP/2", "HTTP/1.1", func(b *http.Transport) {
			b.ForceAttemptHTTP2 = true
			if _, err := read((&http.Client{Transport: b}).Get(s.URL)); err != nil {
				t.Error(err)
			}
			b.CloseIdleConnections()
			b.Protocols = new(http.Protocols)
			b.Protocols.SetHTTP1(true)
		}},
	} {
		w := newFixture(t, "alice")
		w.config.Roots = nil
		w.config.Base = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: serverCA.Pool()}}
		row.change(w.config.Base)
		r, _ := http.NewRequestWithContext(as(t, "alice"), "GET", s.URL, nil)
		response, err := w.client().Do(r)
		if err != nil {
			t.Errorf("%s: the request: %v", row.name, err)
			continue
		}
		if got, err := read(response, nil); got != "alice" || err != nil || response.Proto != row.want {
			t.Errorf("%s: got %q, %v over %s, want alice over %s", row.name, got, err, response.Proto, row.want)
		}
	}
}

// Every server is verified by its name and the roots.
// Covers J7.
func TestServersAreVerifiedByNameAndRoots(t *testing.T) {
	t.Parallel()
	wrongName := serverCA.Server(func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} })
	late := serverCA.Server(expired)
	for name, p := range map[string]*testpki.Pair{"another name": wrongName, "another authority": testpki.NewCA("Other CA").Server(), "expired": late} {
		s := serve(t, nil)
		s.TLS.Certificates = []tls.Certificate{p.TLS()}
		w := newFixture(t, "alice")
		got, err := get(as(t, "alice"), w.client(), s.URL)
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok || s.requests.Load() != 0 {
			t.Errorf("%s: got %q, %v; want an untrusted server", name, got, err)
		}
		for _, h := range w.takeEvents() {
			if h.Sent || h.Err == nil {
				t.Errorf("%s: got %+v, want an error and no certificate sent", name, h)
			}
		}
	}
	// The base's own check applies too, also on resumed connections.
	w, s := newFixture(t, "alice"), serve(t, nil)
	refuse := false
	w.config.Base = &http.Transport{TLSClientConfig: &tls.Config{VerifyConnection: func(tls.ConnectionState) error {
		if refuse {
			return errFault
		}
		return nil
	}}}
	transport := w.transport()
	c := &http.Client{Transport: transport}
	wantBody(t, as(t, "alice"), c, s.URL, "alice")
	transport.CloseIdleConnections()
	refuse = true
	wantError(t, as(t, "alice"), c, s.URL, errFault)
}
