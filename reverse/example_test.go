package reverse_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reverse"
	"github.com/mtlsguard/mtlsguard/testdata/pki"
	"github.com/mtlsguard/mtlsguard/trust"
)

// A client calls a gateway. A server that opens no port has dialled the gateway, and
// identifies the client by its certificate.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	// The gateway has a port for clients and a port for servers, each with trust anchors
	// of its own.
	gateway, err := reverse.NewGateway(reverse.GatewayConfig{
		Authorize: func(_ context.Context, chain []*x509.Certificate) ([]string, error) {
			if chain[0].Subject.CommonName == "orders.internal.example" {
				return []string{"orders"}, nil
			}
			return nil, nil
		},
		Service: func(*http.Request) string { return "orders" },
	})
	check(err)
	external := listenOn(ctx, "external", ports.Request, "server", "client-ca", gateway)
	registrations := listenOn(ctx, "registrations", ports.Require, "gateway", "registration-ca", gateway.Registrations())

	// The server maps and authorizes as if clients called it directly.
	alice, err := trust.ReadCertificates("alice.pem", file("alice.pem"))
	check(err)
	mappings, err := certmap.New(certmap.Mapping{ID: "alice", User: "alice", Fingerprint: trust.FingerprintOf(alice[0])})
	check(err)
	rules, err := policy.New([]policy.Rule{{Subject: "user:alice", Port: "tunnel", Method: "GET", Path: "/orders/*", Effect: policy.Allow}}, nil)
	check(err)
	guard, err := middleware.New(middleware.Config{Map: mappings, Policy: rules})
	check(err)
	own := keyPair("orders-server")
	server, err := reverse.NewServer(reverse.ServerConfig{
		Name:        "tunnel",
		Services:    []string{"orders"},
		Addrs:       []string{registrations},
		ServerName:  "gateway.acme.example",
		Gateways:    forwarded.Gateways{Names: []string{"gateway.acme.example"}, Trust: verifier("gateway-ca", trust.UsageServer)},
		Certificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil },
		Users:       verifier("client-ca", trust.UsageClient),
		Handler: guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, _ := identity.FromContext(r.Context())
			hop, _ := reverse.HopFromContext(r.Context())
			fmt.Fprintf(w, "%s, via %s of %s", id.User, id.Via, hop.Gateway.Leaf().Subject.CommonName)
		})),
	})
	check(err)
	ended := make(chan error)
	go func() { ended <- server.Serve(ctx) }()
	<-server.Ready()

	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool("server-ca"), Certificates: []tls.Certificate{keyPair("alice")},
	}}}
	for _, path := range []string{"/orders/7", "/secrets"} {
		response, err := client.Get("https://" + external + path)
		check(err)
		if response.StatusCode == http.StatusOK {
			body, _ := io.ReadAll(response.Body)
			fmt.Println(response.StatusCode, string(body))
		} else {
			fmt.Println(response.StatusCode)
		}
		response.Body.Close()
	}
	stop()
	check(<-ended)
	// Output:
	// 200 alice, via tunnel of gateway.acme.example
	// 403
}

// listenOn serves a handler on a new port until ctx ends, and returns its address.
func listenOn(ctx context.Context, name string, auth ports.ClientAuth, certificate, anchors string, h http.Handler) string {
	own := keyPair(certificate)
	port, err := ports.New(ports.Config{
		Name: name, Addr: "127.0.0.1:0", ClientAuth: auth, Trust: verifier(anchors, trust.UsageClient),
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil },
	})
	check(err)
	ready := make(chan struct{})
	server := &ports.Server{Handler: h, Ports: []*ports.Port{port}, Ready: func() { close(ready) }}
	go server.Serve(ctx)
	<-ready
	return port.Addr().String()
}

func verifier(name string, usage trust.Usage) *trust.Verifier {
	anchors, err := trust.ReadCertificates(name, file(name+".pem"))
	check(err)
	v, err := trust.New(trust.Config{Anchors: anchors, Usage: usage})
	check(err)
	return v
}

func pool(name string) *x509.CertPool {
	out := x509.NewCertPool()
	out.AppendCertsFromPEM(file(name + ".pem"))
	return out
}

func keyPair(name string) tls.Certificate {
	pair, err := tls.X509KeyPair(file(name+".pem"), file(name+"-key.pem"))
	check(err)
	return pair
}

func file(name string) []byte {
	data, err := pki.Files.ReadFile(name)
	check(err)
	return data
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
