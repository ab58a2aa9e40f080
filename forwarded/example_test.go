package forwarded_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A service reads and verifies a certificate that a gateway has forwarded.
func Example() {
	users, _ := trust.New(trust.Config{Anchors: certificatesIn("client-ca.pem")})
	gateways, _ := trust.New(trust.Config{Anchors: certificatesIn("gateway-ca.pem")})

	receiver, err := forwarded.New(forwarded.Config{
		Topology: forwarded.RFC9440(),
		Gateways: forwarded.Gateways{Names: []string{"gateway.acme.example"}, Trust: gateways},
		Users:    users,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	alice := certificatesIn("alice.pem")[0]
	h := http.Header{"Client-Cert": {":" + base64.StdEncoding.EncodeToString(alice.Raw) + ":"}} // as the gateway sends it
	verified, err := receiver.Verify(context.Background(), receiver.Read(h, nil))
	fmt.Println(verified.Leaf().Subject, err)

	h.Add("Client-Cert", "a second line")
	_, err = receiver.Verify(context.Background(), receiver.Read(h, nil))
	fmt.Println(err)
	// Output:
	// CN=alice,OU=Staff,O=Acme <nil>
	// bad-header: a gateway's header is repeated
}

// certificatesIn reads a PEM file.
func certificatesIn(name string) []*x509.Certificate {
	data, err := os.ReadFile("../testdata/pki/" + name)
	if err != nil {
		panic(err)
	}
	out, err := trust.ReadCertificates(name, data)
	if err != nil {
		panic(err)
	}
	return out
}

// A test of a service behind a gateway sets the headers of the gateway.
func ExampleTopology_Write() {
	h := http.Header{}
	forwarded.Nginx("", "X-SSL-Client-Verify").Write(h, certificatesIn("alice.pem"))
	fmt.Println(h.Get("X-SSL-Client-Verify"), h.Get("X-SSL-Client-Cert")[:33])
	// Output: SUCCESS -----BEGIN%20CERTIFICATE-----%0AM
}

// A Go program as a gateway. It refuses a client whose certificate failed verification:
// forwarded without the certificate, the request would be one of a client without any.
func ExampleSetClientCert() {
	next, _ := url.Parse("https://service.acme.example")
	type key struct{}
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{ /* TLSClientConfig with the gateway's certificate */ },
		Rewrite: func(pr *httputil.ProxyRequest) {
			pr.SetURL(next)
			verified, _ := pr.In.Context().Value(key{}).(trust.Verified)
			forwarded.SetClientCert(pr, verified)
		},
	}
	_ = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, ok := ports.FromContext(r.Context())
		if !ok {
			http.Error(w, "the request did not arrive on a port", http.StatusForbidden)
			return
		}
		verified, err := conn.Verified(r.Context())
		if refusal, _ := errors.AsType[*reason.Refusal](err); err != nil && (refusal == nil || refusal.Reason != reason.NoCertificate) {
			http.Error(w, "the certificate is refused", http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, verified)))
	})
}
