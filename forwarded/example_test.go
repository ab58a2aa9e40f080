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

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

func Example() {
	clients, edges := testpki.NewCA("Clients"), testpki.NewCA("Gateways") // yours come from files
	users, _ := trust.New(trust.Config{Anchors: []*x509.Certificate{clients.Cert}})
	gateways, _ := trust.New(trust.Config{Anchors: []*x509.Certificate{edges.Cert}})

	receiver, err := forwarded.New(forwarded.Config{
		Topology: forwarded.RFC9440(),
		Gateways: forwarded.Gateways{Names: []string{"gateway.acme.example"}, Trust: gateways},
		Users:    users,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	alice := clients.Leaf("alice")
	h := http.Header{"Client-Cert": {":" + base64.StdEncoding.EncodeToString(alice.Cert.Raw) + ":"}}
	verified, err := receiver.Verify(context.Background(), receiver.Read(h, nil))
	fmt.Println(verified.Leaf().Subject, err)

	h.Add("Client-Cert", "one more")
	_, err = receiver.Verify(context.Background(), receiver.Read(h, nil))
	fmt.Println(err)
	// Output:
	// CN=alice <nil>
	// bad-header: a gateway's header is repeated
}

// A Go program in front of others. What a handshake would refuse it refuses itself:
// a certificate that is no longer good must not become none.
func ExampleState() {
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
			http.Error(w, "not through a port", http.StatusForbidden)
			return
		}
		verified, err := conn.Verified(r.Context())
		if refusal, _ := errors.AsType[*reason.Refusal](err); err != nil && (refusal == nil || refusal.Reason != reason.NoCertificate) {
			http.Error(w, "the certificate is not good", http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, verified)))
	})
}
