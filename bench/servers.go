//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/trust"
)

// hello is the handler of every server.
var hello = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header()["Content-Type"] = []string{"text/plain"}
	w.Write([]byte("ok\n"))
})

// serveAs runs this process as one of the servers.
func serveAs(name, dir string, o options) error {
	switch name {
	case "bare", "twin": // the difference between the two is the error of the measurement
		return serveTLS(dir, tls.RequireAndVerifyClientCert, hello)
	case "ports":
		return servePort(dir)
	case "plain":
		return servePlain()
	case "naive":
		h, err := naive(dir)
		if err != nil {
			return err
		}
		return serveTLS(dir, tls.RequireAndVerifyClientCert, h)
	case "live":
		return serveLive(dir)
	case "guard", "logged":
		return serveGuard(dir, o, name == "logged")
	}
	return fmt.Errorf("-serve: %q is not a server", name)
}

func serveTLS(dir string, auth tls.ClientAuthType, h http.Handler) error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "client-ca.pem"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: auth}}
	return srv.ServeTLS(l, "", "")
}

// servePort serves a port of package ports without a guard.
func servePort(dir string) error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem"))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(dir, "client-ca.pem"))
	if err != nil {
		return err
	}
	anchors, err := trust.ReadCertificates("client-ca.pem", data)
	if err != nil {
		return err
	}
	clients, err := trust.New(trust.Config{Anchors: anchors})
	if err != nil {
		return err
	}
	p, err := ports.New(ports.Config{
		Name: "internal", Addr: "127.0.0.1:0", ClientAuth: ports.Require, Trust: clients, Limits: ports.Limits{PerIP: 1000},
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &cert, nil },
	})
	if err != nil {
		return err
	}
	server := &ports.Server{Handler: hello, Ports: []*ports.Port{p}, Ready: func() { fmt.Println(p.Addr()) }}
	return server.Serve(context.Background())
}

// servePlain serves plain HTTP, as the backend of a gateway.
func servePlain() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	return http.Serve(l, hello)
}

// naive returns a simple guard: a digest of the leaf, a map, and Casbin on every request.
// It always has 100 rules.
func naive(dir string) (http.Handler, error) {
	leaf, err := readLeaf(dir)
	if err != nil {
		return nil, err
	}
	users := map[[sha256.Size]byte]string{sha256.Sum256(leaf.Raw): "alice"}
	m, err := model.NewModelFromString(`[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act
`)
	if err != nil {
		return nil, err
	}
	enforcer, err := casbin.NewEnforcer(m)
	if err != nil {
		return nil, err
	}
	var lines [][]string
	for i := range 99 {
		lines = append(lines, []string{fmt.Sprintf("u%d", i), fmt.Sprintf("/r%d/:id", i), "GET", "allow"})
	}
	if _, err := enforcer.AddPolicies(append(lines, []string{"alice", "/orders/:id", "GET", "allow"})); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := users[sha256.Sum256(r.TLS.PeerCertificates[0].Raw)]
		if ok, err := enforcer.Enforce(user, r.URL.Path, r.Method); err != nil || !ok {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		hello(w, r)
	}), nil
}

func readLeaf(dir string) (*x509.Certificate, error) {
	data, err := os.ReadFile(filepath.Join(dir, "alice.pem"))
	if err != nil {
		return nil, err
	}
	certs, err := trust.ReadCertificates("alice.pem", data)
	if err != nil {
		return nil, err
	}
	return certs[0], nil
}

// serveGuard serves mtlsguard from one file, strict, with all checks.
func serveGuard(dir string, o options, logged bool) error {
	leaf, err := readLeaf(dir)
	if err != nil {
		return err
	}
	own, err := os.MkdirTemp(dir, "guard")
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // finds a free port
	if err != nil {
		return err
	}
	addr := l.Addr().String()
	l.Close()
	config := fmt.Sprintf(`users: users.jsonl
policy: policy.csv
reload: 5s
ports:
  - name: internal
    listen: %s
    client_cert: require
    certificate: {cert: ../server.pem, key: ../server-key.pem}
    trust: {anchors: [../client-ca.pem]}
    limits: {connections_per_ip: 1000}
`, addr)
	for name, data := range map[string]string{"mtlsguard.yaml": config, "users.jsonl": usersFile(o.mappings, leaf), "policy.csv": policyFile(o.rules, o.groups)} {
		if err := os.WriteFile(filepath.Join(own, name), []byte(data), 0o600); err != nil {
			return err
		}
	}
	options := mtlsguard.Options{Ready: func() { fmt.Println(addr) }}
	if logged {
		file, err := os.Create(filepath.Join(own, "audit.log"))
		if err != nil {
			return err
		}
		options.Log = mtlsguard.JSONLog(file, nil)
	}
	server, err := mtlsguard.Open(filepath.Join(own, "mtlsguard.yaml"), options)
	if err != nil {
		return err
	}
	return server.Serve(context.Background(), hello)
}

func usersFile(n int, alice *x509.Certificate) string {
	var b bytes.Buffer
	for i := range n - 1 {
		fmt.Fprintf(&b, `{"id": "m%d", "user": "u%d", "fingerprint": "%x"}`+"\n", i, i, sha256.Sum256(fmt.Append(nil, i)))
	}
	fmt.Fprintf(&b, `{"id": "alice", "user": "alice", "fingerprint": "%s"}`+"\n", trust.FingerprintOf(alice))
	return b.String()
}

// policyFile returns a policy with n rules. A third of them is for groups.
func policyFile(n, groups int) string {
	var b strings.Builder
	for i := range n - 2 {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "p, group:g%d, *, GET|POST, /orders/{id}/part%d, allow\n", i%groups, i)
		case 1:
			fmt.Fprintf(&b, "p, user:u%d, internal, GET, /area%d/*, allow\n", i, i%500)
		default:
			fmt.Fprintf(&b, "p, user:u%d, *, *, /orders/%d, deny\n", i, i)
		}
	}
	b.WriteString("p, group:staff, *, GET|POST, /orders/*, allow\np, user:mallory, *, *, /*, deny\n")
	b.WriteString("g, user:alice, group:staff\n")
	for i := range n / 10 {
		fmt.Fprintf(&b, "g, user:u%d, group:g%d\n", i, i%groups)
	}
	return b.String()
}
