package admin

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Lists stay short, and the certificate is parsed once, whatever a stranger presents again and
// again: a name or a serial number of kilobytes, thousands of alternative names. It must not run
// beside others: it counts allocations.
// Covers W5.
func TestListsOfHugeCertificatesAreShort(t *testing.T) {
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprintf("host-%d.example", i)
	}
	long := strings.Repeat("€", 3000)
	ca := testpki.NewCA("", func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: long} })
	leaf := ca.Leaf("x", func(c *x509.Certificate) {
		c.Subject, c.DNSNames, c.SerialNumber = pkix.Name{CommonName: long}, names, new(big.Int).Lsh(big.NewInt(1), 150)
	}).Cert
	p := newPage(t)
	for range 200 {
		p.OnHandshake(ports.Handshake{Port: "p", Reason: reason.UnknownAuthority, Presented: []*x509.Certificate{leaf}})
	}
	all, _ := p.list(&refusalFilter{limit: maxLimit})
	text, err := json.Marshal(all)
	if err != nil || len(all) != 200 {
		t.Fatal(len(all), err)
	}
	if len(text) > 200*1500 {
		t.Errorf("%d bytes for 200 refusals", len(text))
	}
	if got := all[0].Subject; !strings.HasSuffix(got, "…") || strings.Contains(got, "�") {
		t.Errorf("subject %q", got)
	}
	if d := shortCertificate(leaf); len(d.Subject)+len(d.Issuer)+len(d.Serial)+len(d.Fingerprint)+len(d.NotBefore)+len(d.NotAfter) > maxDescription {
		t.Errorf("the description is longer than its bound: %+v", d)
	}
	if n := testing.AllocsPerRun(10, func() { all[0] = p.strangers.refusals[0].view() }); n > 20 {
		t.Errorf("%v allocations for a refusal whose certificate is known", n)
	}
}
