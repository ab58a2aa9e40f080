package testkit

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// ClientOption changes a client's transport before its first request.
type ClientOption = func(*http.Transport)

// Client returns an HTTP/1.1 client that trusts servers below roots. It sends the
// certificate of holder, whatever authorities the server asks for; a nil holder sends
// none. The client keeps its connections until the test ends, and gives up after Patience.
func Client(tb testing.TB, roots *x509.CertPool, holder *testpki.Pair, options ...ClientOption) *http.Client {
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, Protocols: new(http.Protocols)}
	t.Protocols.SetHTTP1(true)
	if holder != nil {
		certificate := holder.TLS()
		t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil }
	}
	for _, change := range options {
		change(t)
	}
	tb.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: Patience}
}

// HTTP2 is a ClientOption: the client uses HTTP/2 only.
func HTTP2(t *http.Transport) {
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP2(true)
}

// TLS12 is a ClientOption: the client offers nothing above TLS 1.2.
func TLS12(t *http.Transport) { t.TLSClientConfig.MaxVersion = tls.VersionTLS12 }

// Resuming is a ClientOption: the client makes a connection for each request, and
// resumes its TLS session.
func Resuming(t *http.Transport) {
	t.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	t.DisableKeepAlives = true
}
