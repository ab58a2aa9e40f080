package keystore_test

import (
	"crypto/x509"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

// A certificate that was renewed under one key stands beside the old one: the valid one that
// began last is presented, and the chain expires with its intermediate.
func TestOfSeveralCertificatesOfAKeyTheCurrentOneIsPresented(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Second)
	between := func(from, to time.Duration) testpki.Option {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from), now.Add(to) }
	}
	ca := testpki.NewCA("CA", between(-99*time.Hour, 99*time.Hour))
	sub := ca.SubCA("Sub", between(-50*time.Hour, 3*time.Hour))
	old := sub.Leaf("a", between(-40*time.Hour, -time.Hour))
	template := *old.Cert
	template.SerialNumber = nil
	renewed := testpki.Make(sub, old.Key, &template, between(-2*time.Hour, 40*time.Hour))
	data, err := pkcs12.Modern2023.Encode(old.Key, old.Cert, []*x509.Certificate{renewed.Cert, sub.Cert}, password)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"PKCS#12": data,
		"PEM":     append(append(old.CertPEM(), renewed.CertPEM()...), old.KeyPEM()...),
	} {
		file := writeFile(t, t.TempDir(), "file", content)
		keys, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{{Alias: "a", File: file, Password: getPassword}}})
		if err != nil {
			t.Errorf("%s: the keystore: %v", name, err)
			continue
		}
		c, err := keys.Credential("a")
		if err != nil || !c.Leaf().Equal(renewed.Cert) || !c.NotAfter().Equal(sub.Cert.NotAfter) {
			t.Errorf("%s: %v, until %v, %v", name, c, c.NotAfter(), err)
		}
		if soon := keys.Expiring(4 * time.Hour); len(soon) != 1 {
			t.Errorf("%s: %d expire with their intermediate", name, len(soon))
		}
	}
}
