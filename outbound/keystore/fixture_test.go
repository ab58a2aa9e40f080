package keystore_test

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	jks "github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"
)

var (
	ca    = testpki.NewCA("CA")
	sub   = ca.SubCA("Sub CA")
	alice = sub.Leaf("alice")
	bob   = ca.Leaf("bob")
)

// TestMain allows more parallel tests than processors: those that write files wait for the time that
// these must stay unchanged.
func TestMain(m *testing.M) {
	testkit.AllowParallel(8)
	os.Exit(m.Run())
}

const password = "correct horse"

func getPassword() (string, error) { return password, nil }

// pemOf returns certificate, chain and key in one file.
func pemOf(p *testpki.Pair) []byte { return append(p.CertPEM(), p.KeyPEM()...) }

// pkcs12Of returns p with its chain and the root, as modern tools write it.
func pkcs12Of(tb testing.TB, p *testpki.Pair, encoder *pkcs12.Encoder) []byte {
	tb.Helper()
	data, err := encoder.Encode(p.Key, p.Cert, append([]*x509.Certificate{ca.Cert}, p.Chain...), password)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// jksOf returns a Java keystore; each key has the given password.
func jksOf(tb testing.TB, keyPassword string, entries map[string]*testpki.Pair) []byte {
	tb.Helper()
	store := jks.New()
	for name, p := range entries {
		der, err := x509.MarshalPKCS8PrivateKey(p.Key)
		if err != nil {
			tb.Fatal(err)
		}
		entry := jks.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: der}
		for _, c := range append(p.Presented(), ca.Cert) {
			entry.CertificateChain = append(entry.CertificateChain, jks.Certificate{Type: "X509", Content: c.Raw})
		}
		if err := store.SetPrivateKeyEntry(name, entry, []byte(keyPassword)); err != nil {
			tb.Fatal(err)
		}
	}
	if err := store.SetTrustedCertificateEntry("root", jks.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: jks.Certificate{Type: "X509", Content: ca.Cert.Raw}}); err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	if err := store.Store(&out, []byte(password)); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// writeFile replaces a file atomically, by renaming a new one over it.
func writeFile(tb testing.TB, dir, name string, data []byte) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(filepath.Join(dir, ".new"), data, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, ".new"), path); err != nil {
		tb.Fatal(err)
	}
	return path
}

// wantLeaf checks that the alias has the certificate of p and its whole chain.
func wantLeaf(tb testing.TB, keys outbound.Keystore, alias string, p *testpki.Pair) {
	tb.Helper()
	c, err := keys.Credential(alias)
	if err != nil {
		tb.Errorf("%s: the credential: %v", alias, err)
	} else if !c.Leaf().Equal(p.Cert) || c.Alias() != alias {
		tb.Errorf("%s is %s", alias, c.Leaf().Subject)
	}
}
