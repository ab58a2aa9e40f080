package forwarded_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// gatewayTo opens a Go gateway in front of a service: mTLS on both legs.
func gatewayTo(t *testing.T, service *ports.Port, protocol string) *ports.Port {
	t.Helper()
	target := &url.URL{Scheme: "https", Host: service.Addr().String()}
	transport := &http.Transport{TLSClientConfig: tlsConfig(shared().gateway, protocol), ForceAttemptHTTP2: protocol == "h2"}
	t.Cleanup(transport.CloseIdleConnections)
	return openPort(t, ports.Request, shared().users, &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(target)
			conn, _ := ports.FromContext(pr.In.Context())
			verified, _ := conn.Verified(pr.In.Context()) // an error means no certificate; see ExampleSetClientCert
			forwarded.SetClientCert(pr, verified)
		},
	})
}

// Covers F5, F17.
func TestGoGatewayForwardsExactlyItsClient(t *testing.T) {
	t.Parallel()
	w := shared()
	service := openPort(t, ports.Require, w.gateways, service(receiver(t, forwarded.RFC9440())))
	evil := sequence(w.bob.Cert)
	for _, inner := range protocols {
		gateway := gatewayTo(t, service, inner)
		for _, x := range []struct {
			pair *testpki.Pair
			want string
		}{{w.alice, "alice"}, {w.dave, "dave"}, {nil, "no-certificate"}} {
			wantHeaders := http.Header{}
			if x.pair != nil {
				wantHeaders = products["rfc9440"].encode(x.pair.Presented())
			}
			check := func(how string, got response) {
				t.Helper()
				if got.Caller != x.want || !got.Gateway || len(got.Trailer) > 0 || fmt.Sprint(got.Headers) != fmt.Sprint(wantHeaders) {
					t.Errorf("%s to the service, %s: %+v, want %s", inner, how, got, x.want)
				}
			}
			for _, outer := range protocols {
				c := client(t, x.pair, outer)
				check(outer, get(t, c, gateway, nil))
				for _, name := range []string{
					"Client-Cert", "client_cert", "CLIENT.CERT", "Client-Cert-Chain", "Client_Cert-Chain", "Client-Cert-Anything", "X-Client-Cert", "X-SSL-Client-Cert",
					"X-SSL-Client-Verify", "X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert", "X-ARR-ClientCert", "X-Amzn-Mtls-Clientcert-Leaf", "Remote-User", "X-Remote-User",
				} {
					check(outer+", "+name, get(t, c, gateway, http.Header{name: {evil}}))
					check(outer+", twice "+name, get(t, c, gateway, http.Header{name: {evil, evil}, strings.ToUpper(name): {""}}))
				}
				req, _ := http.NewRequestWithContext(t.Context(), "POST", "https://"+gateway.Addr().String()+"/", strings.NewReader("hi"))
				req.Trailer, req.ContentLength = http.Header{"Client-Cert": {evil}, "X-Ssl_client-Cert": {evil}}, -1
				check(outer+", trailers", do(t, c, req))
			}
			for _, connection := range []string{
				"Client-Cert", "client-cert", "CLIENT-CERT, client-cert-chain", "close, Client-Cert, Client-Cert-Chain", "keep-alive,Client-Cert", "Client-Cert,", ", ,client-cert-CHAIN , Client_Cert",
			} {
				for _, more := range []string{"", "Client-Cert: " + evil + "\r\n", "client_cert: " + evil + "\r\n", "Connection: Client-Cert\r\nProxy-Connection: Client-Cert\r\nKeep-Alive: Client-Cert\r\nTE: trailers\r\n"} {
					check("Connection: "+connection, sendRaw(t, gateway, x.pair, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: "+connection+"\r\n"+more+"\r\n"))
				}
			}
			check("unannounced trailers", sendRaw(t, gateway, x.pair, "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nClient-Cert: "+evil+"\r\n\r\n"))
		}
	}
}

func proxyRequest(h http.Header) *httputil.ProxyRequest {
	return &httputil.ProxyRequest{In: &http.Request{Header: h.Clone()}, Out: &http.Request{Header: h}}
}

func TestSetClientCertDeletesIdentityHeaders(t *testing.T) {
	t.Parallel()
	pr := proxyRequest(http.Header{"Client-Cert": {"x"}, "X_remote.User": {"x"}, "Accept": {"y"}})
	pr.Out.Trailer = http.Header{"Client_cert": nil, "Checksum": nil}
	forwarded.SetClientCert(pr, trust.Verified{})
	if len(pr.Out.Header) != 1 || pr.Out.Header.Get("Accept") != "y" || len(pr.Out.Trailer) != 1 || len(pr.In.Header) != 3 {
		t.Errorf("sent %v of %v, want one header and one trailer", pr.Out, pr.In)
	}
	forwarded.SetClientCert(proxyRequest(http.Header{}), trust.Verified{})
}

// A certificate that is too long is never forwarded as "no certificate".
func TestForwardedCertificateIsNeverTooLong(t *testing.T) {
	t.Parallel()
	w := shared()
	heavy := func(bytes int) testpki.Option {
		return func(c *certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Value: make([]byte, bytes)}}
		}
	}
	for _, x := range []struct {
		name         string
		pair         *testpki.Pair
		chain, stuck bool
		want         string
	}{
		{"small", w.dave, true, false, "dave"},
		{"no issuers", w.alice, false, false, "alice"},
		{"a heavy issuer that fits", w.ca.SubCA("Heavy CA", heavy(10<<10)).Leaf("heavy"), true, false, "heavy"},
		{"a heavy issuer that does not", w.ca.SubCA("Heavy CA", heavy(12<<10)).Leaf("heavy"), false, false, "unknown-authority"},
		{"a heavy leaf that fits", w.ca.Leaf("heavy", heavy(11<<10)), false, false, "heavy"},
		{"a heavy leaf that does not", w.ca.Leaf("heavy", heavy(13<<10)), false, true, "bad-header"},
	} {
		pr := proxyRequest(http.Header{})
		forwarded.SetClientCert(pr, verifiedBy(t, w.users, x.pair))
		h := pr.Out.Header
		size := len(h.Get("Client-Cert")) + len(h.Get("Client-Cert-Chain"))
		if size > 16<<10 || h.Get("Client-Cert") == "" || (h.Get("Client-Cert-Chain") != "") != x.chain || (h.Get("Client-Cert") == "::") != x.stuck {
			t.Errorf("%s: %d bytes, %.40v", x.name, size, h)
		}
		if got := verifyHeaders(t, receiver(t, forwarded.RFC9440()), h); got != x.want {
			t.Errorf("%s: %s, want %s", x.name, got, x.want)
		}
	}
}

// A pinned leaf is its own anchor and is forwarded; other anchors are not.
func TestPinnedLeafIsForwardedAndAnchorsAreNot(t *testing.T) {
	t.Parallel()
	w := shared()
	pinned := verifier(trust.Config{Anchors: certs{w.other.Cert}})
	pr := proxyRequest(http.Header{})
	forwarded.SetClientCert(pr, verifiedBy(t, pinned, w.other))
	if h := pr.Out.Header; h.Get("Client-Cert") != sequence(w.other.Cert) || len(h) != 1 {
		t.Errorf("sent %v, want the other certificate alone", h)
	}
	pr = proxyRequest(http.Header{})
	forwarded.SetClientCert(pr, verifiedBy(t, w.users, w.dave))
	for _, c := range parseForwarded(t, pr.Out.Header) {
		if bytes.Equal(c.Raw, w.ca.Cert.Raw) {
			t.Error("the anchor is forwarded")
		}
	}
}

func parseForwarded(t *testing.T, h http.Header) []*x509.Certificate {
	t.Helper()
	c, err := forwarded.ParseHeaders(forwarded.RFC9440(), h.Get("Client-Cert"), h.Get("Client-Cert-Chain"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
