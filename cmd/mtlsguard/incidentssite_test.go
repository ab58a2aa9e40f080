package main

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// nightSite is a running server, its files, its clients and its log.
type nightSite struct {
	*testing.T
	dir                                                         string
	ca, sub, partnerCA, serverCA, gatewayCA, gateway, renewedCA *testpki.Pair
	clients                                                     map[string]*testpki.Pair
	addrs                                                       map[string]string // by the port's name
	options                                                     mtlsguard.Options
	vars                                                        map[string]string // the values of $REFERENCE and others, for the command
	mended                                                      *call             // the request of a client that was mended
	nginx                                                       *nginx            // the gateway in front of the port edge, or nil
	alias                                                       string            // of the outgoing call
}

// nginx is a real gateway in front of the port edge, with the documented configuration.
type nginx struct {
	*nightSite
	addr string
	cmd  *exec.Cmd
}

const nightConfig = `users: users.yaml
policy: policy.csv
reload: 50ms
ports:
  - name: internal
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    server_names: [localhost]
    trust:
      anchors: [client-ca.pem]
      crls: [client-ca.crl, issuing-ca.crl]
      crl_issuers: [issuing-ca.pem]
      revocation: hard
  - name: edge
    listen: 127.0.0.1:0
    client_cert: require
    certificate: {cert: server.pem, key: server-key.pem}
    forwarded:
      format: nginx
      verified: {header: X-SSL-Client-Verify, value: SUCCESS}
      gateway:
        fingerprints: ["GATEWAY"]
        anchors: [gateway-ca.pem]
      trust: {anchors: [client-ca.pem], crls: [client-ca.crl]}
`

const nightUsers = `mappings:
  - {id: partner, user: partner, fingerprint: "sha256:PARTNER"}
  - {id: staff, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: client-ca.pem}
  - {id: sub, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: issuing-ca.pem}
  - {id: abroad, user: "{user}", subject: "CN={user},OU=Staff,O=Acme", issuer: partner-ca.pem}
`

const nightPolicy = `p, group:staff, *, GET|POST, /orders/*, allow
p, user:partner, internal, GET, /orders/*, allow
p, user:admin, internal, DELETE, /orders/{id}, allow
p, group:blocked, *, *, /*, deny
g, user:alice, group:staff
g, user:bob, group:staff
g, user:carol, group:staff
g, user:dora, group:staff
g, user:mallory, group:staff
g, user:mallory, group:blocked
`

// newNight makes the files of the server.
func newNight(t *testing.T) *nightSite {
	t.Helper()
	n := &nightSite{T: t, dir: testkit.SocketFolder(t), addrs: map[string]string{}, vars: map[string]string{}}
	n.ca, n.partnerCA, n.serverCA = testpki.NewCA("Client CA", inAcme), testpki.NewCA("Partner CA"), testpki.NewCA("Server CA")
	n.sub = n.ca.SubCA("Issuing CA", inAcme)
	n.gatewayCA = testpki.NewCA("Gateway CA")
	n.gateway = n.gatewayCA.Leaf("gateway")
	n.clients = map[string]*testpki.Pair{
		"alice": n.ca.Leaf("alice", asStaff), "bob": n.ca.Leaf("bob", asStaff), "erin": n.ca.Leaf("erin", asStaff), "admin": n.ca.Leaf("admin", asStaff),
		"gateway": n.gateway, "mallory": n.ca.Leaf("mallory", asStaff), "partner": n.ca.Leaf("partner"), "carol": n.sub.Leaf("carol", asStaff), "dora": n.partnerCA.Leaf("dora", asStaff),
	}
	for name, ca := range map[string]*testpki.Pair{"client-ca": n.ca, "issuing-ca": n.sub, "partner-ca": n.partnerCA, "server-ca": n.serverCA, "gateway-ca": n.gatewayCA} {
		n.put(name+".pem", certificateText(ca.Cert))
		n.put(name+".crl", revocationText(ca.CRL(1, nil)))
	}
	n.pair("server", n.serverCA.Server())
	n.put("mtlsguard.yaml", strings.Replace(nightConfig, "GATEWAY", printOf(n.gateway), 1))
	n.put("users.yaml", nightUsers)
	n.mapPartner(n.clients["partner"])
	n.put("policy.csv", nightPolicy)
	log, err := os.Create(n.path("server.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	n.options = mtlsguard.Options{Log: mtlsguard.JSONLog(log, nil), StatusSocket: n.path("status.sock")}
	return n
}

func inAcme(c *x509.Certificate) { c.Subject.Organization = []string{"Acme"} }

func asStaff(c *x509.Certificate) {
	c.Subject.OrganizationalUnit, c.Subject.Organization = []string{"Staff"}, []string{"Acme"}
}

func certificateText(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func revocationText(l *x509.RevocationList) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: l.Raw}))
}

func printOf(p *testpki.Pair) string { return newCertificateReport(p.Cert).Fingerprint }

func (n *nightSite) path(name string) string { return filepath.Join(n.dir, name) }

// put replaces a file atomically.
func (n *nightSite) put(name, text string) {
	n.Helper()
	if err := errors.Join(os.WriteFile(n.path(name+".new"), []byte(text), 0o600), os.Rename(n.path(name+".new"), n.path(name))); err != nil {
		n.Fatal(err)
	}
}

func (n *nightSite) get(name string) string {
	n.Helper()
	data, err := os.ReadFile(n.path(name))
	if err != nil && !os.IsNotExist(err) {
		n.Fatal(err)
	}
	return string(data)
}

func (n *nightSite) edit(name, old, replacement string) {
	n.Helper()
	text := n.get(name)
	if !strings.Contains(text, old) {
		n.Fatalf("%s has no %q", name, old)
	}
	n.put(name, strings.Replace(text, old, replacement, 1))
}

// pair writes a certificate and its key.
func (n *nightSite) pair(name string, p *testpki.Pair) {
	n.Helper()
	n.put(name+"-key.pem", string(p.KeyPEM()))
	n.put(name+".pem", string(p.CertPEM()))
}

// mapPartner maps the user partner to a certificate.
func (n *nightSite) mapPartner(p *testpki.Pair) {
	n.Helper()
	n.put("users.yaml", strings.Replace(nightUsers, "PARTNER", printOf(p), 1))
}

// start serves the files until the test ends.
func (n *nightSite) start() {
	n.Helper()
	if _, err := serveSiteWith(n.options, n.dir, func(k, v string) { n.addrs[strings.ToLower(k)] = v }, n.Cleanup); err != nil {
		n.Fatal(err)
	}
}

// shell runs a command in the folder of the server, as it is pasted.
func (n *nightSite) shell(line string) (output string, status int, took time.Duration) {
	n.Helper()
	cmd := exec.CommandContext(n.Context(), "sh", "-c", line)
	cmd.Dir = n.dir
	start := time.Now()
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode(), time.Since(start)
}

// lastLine returns the newest line of the log that has all the texts.
func (n *nightSite) lastLine(texts ...string) (l logLine, ok bool) {
	for line := range strings.Lines(n.get("server.log")) {
		has := true
		for _, text := range texts {
			has = has && strings.Contains(line, text)
		}
		if has {
			l, ok = logLine{}, true
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				n.Fatal(err)
			}
		}
	}
	return l, ok
}

func serials(pairs ...*testpki.Pair) []*big.Int {
	var out []*big.Int
	for _, p := range pairs {
		out = append(out, p.Cert.SerialNumber)
	}
	return out
}
