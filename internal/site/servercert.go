package site

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/config"
)

// warnServerCertificate warns about a certificate that clients of the port must refuse.
func (l *loader) warnServerCertificate(path string, p config.Port, out *Port) {
	if out.Config.Certificate == nil {
		return // reported before
	}
	pair, err := out.Config.Certificate(nil)
	if err != nil {
		return
	}
	leaf := pair.Leaf
	warn := func(what, hint string) {
		l.warn("ports", p.Cert.In(path), fmt.Sprintf("the server's certificate of port %s, %s, %s: clients refuse to connect", p.Name, p.Cert.Value, what), hint)
	}
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny) {
		warn("lacks the extended key usage serverAuth", "have it reissued with extendedKeyUsage serverAuth")
	}
	if leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		warn("lacks the key usage digitalSignature", "have it reissued with keyUsage digitalSignature")
	}
	if len(p.ServerNames) == 0 {
		if len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.URIs) == 0 {
			warn("has no name in subjectAltName", "have it reissued with subjectAltName DNS:NAME; a name in the subject does not count")
		}
		return
	}
	var missing []string
	for _, name := range p.ServerNames {
		if leaf.VerifyHostname(name) != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		l.warn("ports", p.Cert.In(path), fmt.Sprintf("the server's certificate of port %s, %s, is not for %s of server_names: clients that connect to this name refuse it", p.Name, p.Cert.Value, strings.Join(missing, ", ")),
			"have it reissued with the name in subjectAltName, or remove the name from server_names")
	}
}
