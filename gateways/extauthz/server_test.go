package extauthz_test

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/gateways/extauthz"
	"github.com/mtlsguard/mtlsguard/middleware"
)

const siteConfig = `users: users.yaml
policy: policy.csv
ports:
  - name: ask
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    forwarded:
      format: envoy
      gateway: {anchors: [gateway-ca.pem], names: [envoy.acme.example]}
      trust: {anchors: [ca.pem]}
    answer: {decision: {method: X-Original-Method, target: X-Original-URI}}
`

// Envoy asks a server that is configured by files, as docs/ask.md shows it.
func TestServerOfAFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	folder, own := t.TempDir(), s.serverCA.Server()
	for name, content := range map[string]string{
		"mtlsguard.yaml": siteConfig, "policy.csv": "p, user:alice, ask, GET, /orders/*, allow\n",
		"users.yaml": "mappings:\n  - {id: alice, user: alice, subject: \"CN=alice\", issuer: ca.pem}\n",
		"server.pem": string(own.CertPEM()), "server-key.pem": string(own.KeyPEM()), "ca.pem": string(s.ca.CertPEM()), "gateway-ca.pem": string(s.gatewayCA.CertPEM()),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server := must[*mtlsguard.Server](t)(mtlsguard.Open(filepath.Join(folder, "mtlsguard.yaml"), mtlsguard.Options{}))
	handler := must[http.Handler](t)(extauthz.Handler(server.Handler(nil), extauthz.Config{
		Port: "ask", Question: middleware.ForwardAuth{Method: "X-Original-Method", Target: "X-Original-URI"},
	}))
	port := server.Ports()[0]
	listener := must[net.Listener](t)(port.Listen(t.Context()))
	srv := &http.Server{Handler: handler, ErrorLog: log.New(t.Output(), "", 0)}
	if err := port.Configure(srv); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- srv.Serve(listener) }()
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() { stop(); srv.Close(); <-ended; <-ended })
	envoy := s.envoy(t, port, s.gateway)
	if got := decision(envoy.Check(t.Context(), call(s.alice, "GET", "/orders/7"))); got != "OK alice Authenticated,Everybody alice" {
		t.Error(got)
	}
	if got := decision(envoy.Check(t.Context(), call(s.alice, "POST", "/orders/7"))); got != "403 no-rule" {
		t.Error(got)
	}
}
