package ports_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/ports"
	"github.com/mtlsguard/mtlsguard/reason"
)

// crypto/tls refuses a key of an unsupported kind, and calls it <nil> in its error. The event names
// the kind.
func TestUnsupportedKeyIsNamedInTheHandshake(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	dir := t.TempDir()
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("ca.pem", clientCA.CertPEM())
	put("ca-key.pem", clientCA.KeyPEM())
	put("ext", []byte("basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n"))
	cmd := exec.Command("sh", "-e", "-c", "openssl req -new -newkey ed448 -nodes -keyout k.pem -subj /CN=alice -out csr && openssl x509 -req -in csr -CA ca.pem -CAkey ca-key.pem -set_serial 9 -days 9 -extfile ext -out x.pem")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("openssl: %v: %s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, "x.pem"))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(bytes.TrimSpace(data))
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	c, e := config(t, ports.Require)
	p := serving(t, c)
	h, _ := refused(t, p, e, clientConfig(&testpki.Pair{Cert: leaf, Key: testpki.NewKey()}), reason.WeakKey)
	if want := "unsupported type of public key: Ed448 (1.3.101.113)"; !strings.Contains(h.Err.Error(), want) {
		t.Errorf("%v, want %q", h.Err, want)
	}
}
