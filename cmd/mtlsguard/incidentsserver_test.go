package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

// forward makes a request that a gateway forwards for a user.
func forward(user *testpki.Pair) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("X-SSL-Client-Cert", url.PathEscape(string(user.CertPEM())))
		r.Header.Set("X-SSL-Client-Verify", "SUCCESS")
	}
}

// hold returns what holds as many connections of an address as the port allows.
func hold(limit int) func(*nightSite) {
	return func(n *nightSite) { n.hold(limit) }
}

func (n *nightSite) hold(limit int) {
	n.Helper()
	alice := n.clients["alice"].TLS()
	d := tls.Dialer{NetDialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.2")}}, Config: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{alice}}}
	for range limit {
		c, err := d.DialContext(n.Context(), "tcp", n.addrs["internal"])
		if err != nil {
			n.Fatal(err)
		}
		n.Cleanup(func() { c.Close() })
	}
}

// misspell enables the partner again, with a slip in the line, and waits for the failed reload.
func misspell(n *nightSite) {
	n.edit("users.yaml", "user: partner, disabled: true,", "usr: partner,")
	testkit.Eventually(n, "the reload fails", func() bool {
		_, failed := n.lastLine(`"event":"reload"`, `"outcome":"failed"`)
		return failed
	})
}

// spell writes the key that a hint proposes in the place of the unknown one.
func spell(n *nightSite, p pasting) {
	_, rest, found := strings.Cut(p.before, "error: users.yaml:2:19: unknown key \"")
	old, _, _ := strings.Cut(rest, "\"")
	key := strings.TrimSuffix(strings.TrimPrefix(p.hint, "hint: did you mean "), "?")
	if !found {
		n.Fatalf("no place of the key in %q", p.before)
	}
	n.edit("users.yaml", " "+old+":", " "+key+":")
}

// replaceGateway gives the gateway another certificate.
func replaceGateway(n *nightSite) {
	n.clients["gateway"] = n.gatewayCA.Leaf("gateway")
}

// serverIncidents are about the server, its gateway and its network.
var serverIncidents = []incident{
	{name: "a limit for each address", before: func(n *nightSite) {
		n.edit("mtlsguard.yaml", "client_cert: require\n", "client_cert: require\n    limits: {connections_per_ip: 2}\n")
	}, after: hold(2), call: call{client: "partner", from: "127.0.0.2", method: "GET", path: "/orders/7"}, fails: "EOF|reset by peer", log: []string{`"reason":"limit"`},
		command: explainRefused, cause: "127.0.0.2 has 2, limits.connections_per_ip is 2", mend: "raise connections_per_ip"},
	{name: "the limit that is the default", after: hold(100), call: call{client: "partner", from: "127.0.0.2", method: "GET", path: "/orders/7"}, fails: "EOF|reset by peer", log: []string{`"reason":"limit"`},
		command: explainRefused, cause: "127.0.0.2 has 100, limits.connections_per_ip is 100", mend: "raise connections_per_ip"},
	{name: "a bad reload", before: disable, after: misspell, call: partnerCall, fails: unmapped, command: explainReference,
		cause: "error: users.yaml:2:19: unknown key \"usr\" in mapping \"partner\"", mend: "did you mean user?", apply: spell},
	{name: "a gateway's certificate that was replaced", before: replaceGateway, call: call{client: "gateway", port: "edge", method: "GET", path: "/orders/7"}, send: throughGateway,
		fails: "403 untrusted-gateway", command: explainReference, cause: "refused, 403 untrusted-gateway", mend: "add its fingerprint"},
	{name: "a server's certificate that ended", before: func(n *nightSite) { n.pair("server", n.serverCA.Server(ended)) }, call: call{client: "alice", method: "GET", path: "/orders/7"},
		fails: "certificate has expired or is not yet valid", command: "mtlsguard lint --config mtlsguard.yaml", cause: "mtlsguard.yaml:8: the server's certificate of port internal expired at",
		mend: "renew it in server.pem: a reload reads the new file", apply: func(n *nightSite, _ pasting) { n.pair("server", n.serverCA.Server()) }},
	{name: "a server's certificate that ended, at the client", before: func(n *nightSite) { n.pair("server", n.serverCA.Server(ended)) }, call: call{client: "alice", method: "GET", path: "/orders/7"},
		fails: "certificate has expired or is not yet valid", command: "mtlsguard check $INTERNAL /orders/7 --cacert server-ca.pem", cause: "the client refused the server: its certificate is not trusted",
		mend: "renew it at the server: mtlsguard lint --config FILE names the server's file", apply: func(n *nightSite, _ pasting) { n.pair("server", n.serverCA.Server()) }},
	{name: "an outgoing call that is refused", before: callOut, call: call{client: "dora", method: "GET", path: "/orders/7"}, send: out, fails: "CN=Partner CA is none of these",
		command: "mtlsguard check $INTERNAL /orders/7 --cacert server-ca.pem --cert keys/dora.pem", cause: "issuer CN=Partner CA is not among the authorities", mend: "a certificate of one of: CN=Client CA,O=Acme",
		apply: func(n *nightSite, _ pasting) { n.alias = "alice" }},
}

// throughGateway sends alice's request as a gateway does.
func throughGateway(n *nightSite) answerAtNight {
	return n.send(call{client: "gateway", port: "edge", method: "GET", path: "/orders/7", edit: forward(n.clients["alice"])})
}

// callOut makes a keystore with two aliases. The program calls as the wrong one.
func callOut(n *nightSite) {
	n.alias = "dora"
	for _, name := range []string{"dora", "alice"} {
		if err := os.Mkdir(n.path("keys"), 0o700); err != nil && !os.IsExist(err) {
			n.Fatal(err)
		}
		n.put("keys/"+name+".pem", string(n.clients[name].CertPEM())+string(n.clients[name].KeyPEM()))
	}
}

// out makes the call of a program that uses package outbound.
func out(n *nightSite) answerAtNight {
	keys, err := keystore.NewDirectory(keystore.DirectoryConfig{Path: n.path("keys")})
	if err != nil {
		n.Fatal(err)
	}
	transport, err := outbound.New(outbound.Config{Keystore: keys, Roots: n.serverCA.Pool()})
	if err != nil {
		n.Fatal(err)
	}
	n.Cleanup(func() { transport.Close() })
	r, err := http.NewRequestWithContext(outbound.As(n.Context(), n.alias), "GET", "https://"+n.expand("$INTERNAL")+"/orders/7", nil)
	if err != nil {
		n.Fatal(err)
	}
	res, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return answerAtNight{err: err}
	}
	res.Body.Close()
	return answerAtNight{status: res.StatusCode}
}
