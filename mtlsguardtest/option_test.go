package mtlsguardtest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/middleware"
	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// mapper maps by the SPIFFE ID.
type mapper struct{}

func (mapper) Map(_ context.Context, v trust.Verified, _ string) (certmap.Match, error) {
	if uris := v.Leaf().URIs; len(uris) == 1 {
		return certmap.Match{User: strings.TrimPrefix(uris[0].Path, "/")}, nil
	}
	return certmap.Match{}, reason.Refuse(reason.Unmapped, "no URI")
}

// onlyBob is a policy.Decider.
type onlyBob struct{}

func (onlyBob) Decide(_ context.Context, r policy.Request) (policy.Decision, error) {
	return policy.Decision{Allowed: r.User == "bob", Reason: reason.Denied}, nil
}

func withURI(user string) mtlsguardtest.ClientOption {
	return mtlsguardtest.WithTemplate(func(c *x509.Certificate) { c.URIs = []*url.URL{{Scheme: "spiffe", Host: "acme", Path: "/" + user}} })
}

func TestOptionsChangeTheServer(t *testing.T) {
	t.Parallel()
	const twoPorts = `users: users.yaml
policy: policy.csv
ports:
  - {name: internal, listen: "192.0.2.1:443", client_cert: require, certificate: {cert: server.pem, key: server-key.pem}, trust: {anchors: [client-ca.pem]}}
  - {name: public, listen: "0.0.0.0:1", client_cert: none, certificate: {cert: server.pem, key: server-key.pem}, strict: false}
`
	for _, row := range []struct {
		name    string
		options []mtlsguardtest.Option
		client  func(*mtlsguardtest.Server) *http.Client
		port    string
		want    string
	}{
		{"policy", []mtlsguardtest.Option{mtlsguardtest.WithPolicy("p, user:bob, *, GET, /*, allow\n")}, nil, "", "403 no-rule"},
		{"groups", []mtlsguardtest.Option{mtlsguardtest.WithPolicy("p, group:staff, *, GET, /*, allow"), mtlsguardtest.WithGroups("alice", "staff", "night")}, nil, "", "200 alice true Authenticated,Everybody,night,staff internal HTTP/1.1"},
		{"port", []mtlsguardtest.Option{mtlsguardtest.WithPort("partners")}, nil, "partners", "200 alice true Authenticated,Everybody partners HTTP/1.1"},
		{"none", []mtlsguardtest.Option{mtlsguardtest.WithClientAuth(ports.None)}, nil, "", "403 no-certificate"},
		{"config", []mtlsguardtest.Option{mtlsguardtest.WithConfig(twoPorts)}, nil, "internal", "200 alice"},
		{"config, another port", []mtlsguardtest.Option{mtlsguardtest.WithConfig(twoPorts), mtlsguardtest.WithPolicy("p, group:Anonymous, public, GET, /*, allow\n")}, nil, "public", "200 Default"},
		{"users of its own", []mtlsguardtest.Option{mtlsguardtest.WithFile("users.yaml", `mappings: [{id: uri, user: carol, uri: "spiffe://acme/carol", issuer: client-ca.pem}]`)}, func(s *mtlsguardtest.Server) *http.Client {
			return s.Client("carol", withURI("carol"))
		}, "", "200 carol"},
		{"users of its own, without their URI", []mtlsguardtest.Option{mtlsguardtest.WithFile("users.yaml", `mappings: [{id: uri, user: carol, uri: "spiffe://acme/carol", issuer: client-ca.pem}]`)}, nil, "", "403 unmapped"},
		{"a mapper", []mtlsguardtest.Option{mtlsguardtest.WithOptions(mtlsguard.Options{Map: mapper{}})}, func(s *mtlsguardtest.Server) *http.Client {
			return s.Stranger(withURI("dora"))
		}, "", "200 dora"},
		{"a decider", []mtlsguardtest.Option{mtlsguardtest.WithOptions(mtlsguard.Options{Policy: onlyBob{}})}, nil, "", "403 denied"},
		{"authenticators", []mtlsguardtest.Option{mtlsguardtest.WithClientAuth(ports.Request), mtlsguardtest.WithOptions(mtlsguard.Options{
			Authenticators: map[string][]middleware.Authenticator{"internal": {middleware.Basic{Realm: "acme", Check: middleware.Passwords(map[string]string{"erin": "secret"})}}},
		})}, func(s *mtlsguardtest.Server) *http.Client {
			s.URL = strings.Replace(s.URL, "https://", "https://erin:secret@", 1)
			return s.Anonymous()
		}, "", "200 erin"},
		{"a certificate of the program", []mtlsguardtest.Option{mtlsguardtest.WithOptions(mtlsguard.Options{
			Certificates: map[string]func(*tls.ClientHelloInfo) (*tls.Certificate, error){"internal": func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none yet") }},
		})}, nil, "", "handshake"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			s := mtlsguardtest.NewServer(t, whoami, row.options...)
			if row.client == nil {
				row.client = func(s *mtlsguardtest.Server) *http.Client { return s.Client("alice") }
			}
			client, at := row.client(s), s.URL
			if row.port != "" {
				at = s.PortURL(row.port)
			}
			if got := get(client, at+"/orders"); !strings.HasPrefix(got, row.want) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
