package ports

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// served returns the leaf that a function for Config.Certificate returns.
func served(t *testing.T, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)) string {
	t.Helper()
	pair, err := certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(pair.Certificate[0])
}

// The clock is the test's, and the files' times are set: what is written takes effect when it
// is whole and good.
func TestFilesTakesARenewedCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := testpki.NewCA("CA")
	first, second := ca.Server(), ca.Server()
	cert, key := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem")
	now := time.Now()
	write := func(name string, content []byte) {
		t.Helper()
		if err := os.WriteFile(name+".new", content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, now, now); err != nil {
			t.Fatal(err)
		}
	}
	write(cert, first.CertPEM())
	write(key, first.KeyPEM())
	f := &pairFiles{cert: cert, key: key, now: func() time.Time { return now }}
	if certificate, err := Files(cert, key); err != nil || served(t, certificate) != string(first.Cert.Raw) {
		t.Fatal(err)
	}
	if err := f.load(fileset.New(nil)); err != nil {
		t.Fatal(err)
	}
	expect := func(when string, after time.Duration, want *testpki.Pair) {
		t.Helper()
		now = now.Add(after)
		if served(t, f.certificate) != string(want.Cert.Raw) {
			t.Errorf("%s: the wrong certificate is served", when)
		}
	}
	expect("at first", time.Minute, first)
	write(cert, second.CertPEM())
	expect("when it is written", time.Second, first)
	expect("with the old key", 5*time.Second, first)
	write(key, second.KeyPEM())
	expect("with the new key, just written", time.Second, first)
	expect("with the new key", 5*time.Second, second)
	write(cert, second.CertPEM()[:100])
	expect("with half a file", time.Minute, second)
	if f.failed == "" {
		t.Error("half a file is not noticed")
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	expect("without the key", time.Minute, second)
	if !f.logged {
		t.Error("files that stay bad are not logged")
	}
	write(cert, first.CertPEM())
	write(key, first.KeyPEM())
	expect("with good files", time.Minute, first)
	if f.failed != "" {
		t.Error(f.failed)
	}
}

func TestFilesThatCannotBeServedAreAnError(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := testpki.NewCA("CA")
	server, other := ca.Server(), ca.Server()
	for name, content := range map[string][]byte{"cert": server.CertPEM(), "key": server.KeyPEM(), "other": other.KeyPEM(), "both": append(server.CertPEM(), server.KeyPEM()...)} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct{ cert, key, want string }{
		{"cert", "key", ""},
		{"both", "both", ""},
		{"cert", "other", "the key cannot be used: it does not match the first certificate"},
		{"key", "key", "key"},
		{"lost", "key", "lost: cannot be read"},
		{"cert", "lost", "lost: cannot be read"},
	} {
		_, err := Files(filepath.Join(dir, x.cert), filepath.Join(dir, x.key))
		if x.want == "" && err != nil || x.want != "" && (err == nil || !strings.Contains(err.Error(), x.want)) {
			t.Errorf("%s, %s: got %v, want %q", x.cert, x.key, err, x.want)
		}
	}
}

func TestStaticServesACertificateOrAnError(t *testing.T) {
	t.Parallel()
	server := testpki.NewCA("CA").Server()
	if served(t, Static(server.TLS())) != string(server.Cert.Raw) {
		t.Error("the wrong certificate is served")
	}
	if pair, err := Static(tls.Certificate{})(nil); err == nil || pair != nil {
		t.Errorf("an empty certificate: %v", err)
	}
}
