package extauthz_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"testing/fstest"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/gateways/extauthz"
	"github.com/mtlsguard/mtlsguard/middleware"
)

// A program whose port "ask" answers Envoy.
func ExampleHandler() {
	ctx := context.Background()
	server, err := mtlsguard.Open("mtlsguard.yaml", mtlsguard.Options{Log: mtlsguard.JSONLog(os.Stderr, nil)})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := extauthz.Handler(server.Handler(nil), extauthz.Config{
		Port: "ask", Question: middleware.ForwardAuth{Method: "X-Original-Method", Target: "X-Original-URI"},
	})
	if err != nil {
		log.Fatal(err)
	}
	port := server.Ports()[0]
	listener, err := port.Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	if err := port.Configure(srv); err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(srv.Serve(listener)) }()
	log.Fatal(server.Run(ctx))
}

// Envoy asks about requests of alice, whose certificate it has verified. The certificate of orders
// stands in for Envoy's own.
func ExampleHandler_check() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	files := fstest.MapFS{
		"mtlsguard.yaml": {Data: []byte(`
users: users.yaml
policy: policy.csv
ports:
  - name: ask
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: pki/server.pem, key: pki/server-key.pem}
    forwarded:
      format: envoy
      gateway: {anchors: [pki/client-ca.pem], fingerprints: ["7730503b371893bac12edd9a094965eb7a65da77ec7f8461ab5528f4c5419579"]}
      trust: {anchors: [pki/client-ca.pem]}
    answer: {decision: {method: X-Original-Method, target: X-Original-URI}}
`)},
		"users.yaml": {Data: []byte(`mappings: [{id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: pki/client-ca.pem}]`)},
		"policy.csv": {Data: []byte("p, user:alice, ask, GET, /orders/*, allow\n")},
	}
	for _, name := range []string{"client-ca.pem", "server.pem", "server-key.pem"} {
		files["pki/"+name] = &fstest.MapFile{Data: readPKI(name)}
	}
	server, err := mtlsguard.OpenFS(files, "mtlsguard.yaml", mtlsguard.Options{})
	if err != nil {
		log.Fatal(err)
	}
	handler, err := extauthz.Handler(server.Handler(nil), extauthz.Config{
		Port: "ask", Question: middleware.ForwardAuth{Method: "X-Original-Method", Target: "X-Original-URI"},
	})
	if err != nil {
		log.Fatal(err)
	}
	port := server.Ports()[0]
	listener, err := port.Listen(ctx)
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Handler: handler}
	if err := port.Configure(srv); err != nil {
		log.Fatal(err)
	}
	go srv.Serve(listener)
	defer srv.Close()

	own, err := tls.X509KeyPair(readPKI("orders.pem"), readPKI("orders-key.pem"))
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(readPKI("server-ca.pem"))
	conn, err := grpc.NewClient(port.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}})))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	for _, method := range []string{"GET", "DELETE"} {
		response, err := auth.NewAuthorizationClient(conn).Check(ctx, &auth.CheckRequest{Attributes: &auth.AttributeContext{
			Source:  &auth.AttributeContext_Peer{Certificate: url.PathEscape(string(readPKI("alice.pem")))},
			Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{Method: method, Path: "/orders/7", Host: "api.acme.example"}},
		}})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(method, codes.Code(response.Status.Code))
	}
	// Output:
	// GET OK
	// DELETE PermissionDenied
}

func readPKI(name string) []byte {
	data, err := os.ReadFile("../../testdata/pki/" + name)
	if err != nil {
		log.Fatal(err)
	}
	return data
}
