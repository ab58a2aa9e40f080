package mtlsguardtest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// PKI is a set of authorities, with certificates for a server, for clients and for a gateway. It
// belongs to one test, whose parallel subtests can share it. Certificates and the CRL are valid for a
// day.
type PKI struct {
	t                            testing.TB
	clients, servers, gatewaysCA *testpki.Pair
	server, gateway              *testpki.Pair

	mu     sync.Mutex
	leaves map[string]*testpki.Pair // those of Certificate, by user
}

// gatewayName is the DNS name in the certificate of the gateway.
const gatewayName = "gateway.acme.example"

// unit is the organizational unit in the certificates of users. The mappings of users.yaml
// require it.
const unit = "Users"

// defaultUsers maps the certificates of Client. It contains the user in each certificate, so that
// no user has to be declared.
const defaultUsers = `mappings:
  - {id: users, user: "{user}", subject: "CN={user},OU=` + unit + `", issuer: client-ca.pem}
`

// revokedSerial is the serial number that client-ca.crl revokes.
var revokedSerial = big.NewInt(0xDEAD)

// NewPKI makes certificates without a server: for tests that start a whole program, or several
// servers of one configuration. NewServer makes its own.
func NewPKI(t testing.TB) *PKI {
	requireTest()
	t.Helper()
	p := &PKI{t: t, clients: testpki.NewCA("Client CA"), servers: testpki.NewCA("Server CA"), gatewaysCA: testpki.NewCA("Gateway CA"), leaves: map[string]*testpki.Pair{}}
	p.server = p.servers.Server()
	p.gateway = p.gatewaysCA.Leaf("gateway", func(c *x509.Certificate) { c.DNSNames = []string{gatewayName} })
	return p
}

// Certificate returns the certificate of a user, with its key. A second call for the same user
// returns the same certificate, which is the one that Client sends.
func (p *PKI) Certificate(user string) tls.Certificate {
	p.t.Helper()
	return p.leaf("Certificate", user).TLS()
}

// TLSConfig returns the settings of a client that sends the certificate of a user: for clients of
// gRPC, of WebSocket, and others than http.Client. It trusts the servers of the PKI.
func (p *PKI) TLSConfig(user string) *tls.Config {
	p.t.Helper()
	return &tls.Config{RootCAs: p.servers.Pool(), Certificates: []tls.Certificate{p.leaf("TLSConfig", user).TLS()}}
}

// leaf returns the certificate of a user.
func (p *PKI) leaf(function, user string) *testpki.Pair {
	p.t.Helper()
	checkUser(p.t, function, user)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leaves[user] == nil {
		p.leaves[user] = p.clients.Leaf(user, ofUser)
	}
	return p.leaves[user]
}

// ofUser is a testpki.Option for a certificate that users.yaml maps.
func ofUser(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{unit} }

// ofYesterday is a testpki.Option for a certificate that has expired.
func ofYesterday(c *x509.Certificate) {
	c.NotAfter = time.Now().Add(-time.Hour)
	c.NotBefore = c.NotAfter.Add(-24 * time.Hour)
}

// withRevokedSerial is a testpki.Option for a certificate that is revoked.
func withRevokedSerial(c *x509.Certificate) { c.SerialNumber = revokedSerial }

// checkUser ends the test if a mapping cannot name the user.
func checkUser(t testing.TB, function, user string) {
	t.Helper()
	if username.IsUser(user) {
		return
	}
	hint := username.Hint
	switch reserved := username.Canonical(user); {
	case user == "" || reserved == "Default" || reserved == "Anonymous":
		hint = "a caller without a certificate is Anonymous(), and in Request the user identity.Default"
	case reserved != "":
		hint = "it is a group of every policy; name a user"
	case len(user) > 5 && user[:5] == "user:":
		hint = "name the user alone: " + user[5:]
	case len(user) > 6 && user[:6] == "group:":
		hint = fmt.Sprintf("it is a group: name a user, and make it a member with WithGroups(\"alice\", %q)", user[6:])
	}
	t.Fatalf("mtlsguardtest: %s: %q is not a user name: %s", function, user, hint)
}

// files returns the files of the PKI, by name.
func (p *PKI) files() map[string][]byte {
	return map[string][]byte{
		"client-ca.pem": p.clients.CertPEM(), "server-ca.pem": p.servers.CertPEM(), "gateway-ca.pem": p.gatewaysCA.CertPEM(),
		"client-ca.crl": pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: p.clients.CRL(1, []*big.Int{revokedSerial}).Raw}),
		"server.pem":    p.server.CertPEM(), "server-key.pem": p.server.KeyPEM(),
		"gateway.pem": p.gateway.CertPEM(), "gateway-key.pem": p.gateway.KeyPEM(),
		"users.yaml": []byte(defaultUsers),
	}
}

// WriteFiles writes the files of the PKI into a folder, for configurations and programs that read
// files, such as curl and nginx:
//
//	client-ca.pem, client-ca.crl     the authority of clients, and its CRL
//	server.pem, server-key.pem       the certificate of servers, for 127.0.0.1, ::1 and localhost
//	server-ca.pem                    the authority of servers
//	gateway.pem, gateway-key.pem     the certificate of a gateway, for gateway.acme.example
//	gateway-ca.pem                   the authority of gateways
//	users.yaml                       maps every certificate of Client to its user
//	USER.pem, USER-key.pem           the certificate of each user in users
func (p *PKI) WriteFiles(folder string, users ...string) {
	p.t.Helper()
	files := p.files()
	for _, user := range users {
		leaf := p.leaf("WriteFiles", user)
		files[user+".pem"], files[user+"-key.pem"] = leaf.CertPEM(), leaf.KeyPEM()
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			p.t.Fatalf("mtlsguardtest: WriteFiles: %v", err)
		}
	}
}
