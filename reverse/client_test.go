package reverse_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/trust"
)

// response is an answer, with the request that the handler echo saw or the reason of a refusal.
type response struct {
	Code     int         `json:"-"`
	Answer   http.Header `json:"-"`
	Body     string      `json:"-"`
	User     string
	Via      identity.Via
	Port     string
	Method   string
	Path     string
	Query    string
	Host     string
	Remote   string
	Headers  http.Header
	Trailers http.Header
	Hop      string
	TLS      bool
	Reason   reason.Reason
}

// echo answers with its request, after the body and the trailers.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	id, _ := identity.FromContext(r.Context())
	hop, _ := reverse.HopFromContext(r.Context())
	json.NewEncoder(w).Encode(response{
		User: id.User, Via: id.Via, Port: id.Port, Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery, Host: r.Host, Remote: r.RemoteAddr,
		Headers: r.Header, Trailers: r.Trailer, TLS: r.TLS != nil,
		Hop: fmt.Sprint(hop.Gateway.Fingerprint() == trust.FingerprintOf(gate.Cert), " ", hop.Service, " ", hop.Remote, " ", hop.ServerName),
	})
})

// clientConfig sends p's certificate; nil sends none. Its key exchange takes the least time: most of
// that of these tests is in handshakes.
func clientConfig(p *testpki.Pair) *tls.Config {
	c := &tls.Config{RootCAs: webCA.Pool(), ServerName: "localhost", CurvePreferences: []tls.CurveID{tls.CurveP256}}
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if p == nil {
			return &tls.Certificate{}, nil
		}
		own := p.TLS()
		return &own, nil
	}
	return c
}

// client is a caller of an external port.
type client struct {
	tb   testing.TB
	url  string
	http *http.Client
}

func (d *dmz) client(tb testing.TB, p *testpki.Pair, h2 bool) *client {
	tb.Helper()
	return newClient(tb, d.external.Addr().String(), p, h2)
}

func newClient(tb testing.TB, addr string, p *testpki.Pair, h2 bool) *client {
	tb.Helper()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetHTTP2(h2)
	t := &http.Transport{TLSClientConfig: clientConfig(p), Protocols: protocols, DisableCompression: true}
	tb.Cleanup(t.CloseIdleConnections)
	return &client{tb, "https://" + addr, &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

func (c *client) request(method, target string, body io.Reader, change ...func(*http.Request)) *http.Request {
	c.tb.Helper()
	r := must[*http.Request](c.tb)(http.NewRequest(method, c.url+target, body))
	for _, f := range change {
		f(r)
	}
	return r
}

// do makes a request that must be answered.
func (c *client) do(r *http.Request) response {
	c.tb.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	res := must[*http.Response](c.tb)(c.http.Do(r.WithContext(ctx)))
	defer res.Body.Close()
	body := must[[]byte](c.tb)(io.ReadAll(res.Body))
	s := response{Code: res.StatusCode, Answer: res.Header, Body: string(body)}
	if len(body) > 0 && body[0] == '{' {
		if err := json.Unmarshal(body, &s); err != nil {
			c.tb.Fatalf("the answer %q is not JSON: %v", body, err)
		}
	}
	return s
}

func (c *client) get(target string, change ...func(*http.Request)) response {
	c.tb.Helper()
	return c.do(c.request("GET", target, nil, change...))
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header[name] = append(r.Header[name], value) }
}

func (s response) want(tb testing.TB, code int, why reason.Reason) {
	tb.Helper()
	if s.Code != code || s.Reason != why {
		tb.Errorf("answered %d %q, want %d %q: %s", s.Code, s.Reason, code, why, s.Body)
	}
}

func (s response) wantUser(tb testing.TB, user string) {
	tb.Helper()
	if s.Code != 200 || s.User != user || s.Via != identity.Tunnel || s.Port != "tunnel" {
		tb.Errorf("answered %d for %q via %q on %q, want 200 for %q: %s", s.Code, s.User, s.Via, s.Port, user, s.Body)
	}
}

func onBothVersions(t *testing.T, f func(t *testing.T, h2 bool)) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) { t.Parallel(); f(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { t.Parallel(); f(t, true) })
}
