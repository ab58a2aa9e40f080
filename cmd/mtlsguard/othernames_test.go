package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

func TestInspectListsNamesThatNoMappingCompares(t *testing.T) {
	t.Parallel()
	openssl := testkit.Program(t, "openssl", "openssl")
	folder := t.TempDir()
	conf := `[req]
distinguished_name = dn
[dn]
[directory]
O = Acme
CN = Printer 7
[ext]
basicConstraints = critical,CA:FALSE
extendedKeyUsage = clientAuth
subjectAltName = @names
[names]
otherName.1 = 1.3.6.1.4.1.311.20.2.3;UTF8:alice@corp.example
otherName.2 = 1.2.3.4;UTF8:badge 7
otherName.3 = 1.2.3.5;INTEGER:7
dirName = directory
IP.1 = 192.0.2.7
IP.2 = 2001:db8::7
RID = 1.2.3.6
DNS = alice.acme.example
`
	if err := os.WriteFile(filepath.Join(folder, "openssl.cnf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=alice", "-config", "openssl.cnf", "-extensions", "ext", "-keyout", "key.pem", "-out", "cert.pem")
	c.Dir = folder
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out, stderr bytes.Buffer
	run(context.Background(), []string{"inspect", filepath.Join(folder, "cert.pem")}, strings.NewReader(""), &out, &stderr)
	for _, want := range []string{
		"    - {id: alice, user: alice, dns: alice.acme.example, issuer: ISSUER.pem}\n",
		"    # UPN alice@corp.example: no mapping compares it\n",
		"    # other name 1.2.3.4 badge 7: no mapping compares it\n",
		"    # other name 1.2.3.5 #020107: no mapping compares it\n",
		"    # directory name CN=Printer 7,O=Acme: no mapping compares it\n",
		"    # IP address 192.0.2.7: no mapping compares it\n",
		"    # IP address 2001:db8::7: no mapping compares it\n",
		"    # registered ID 1.2.3.6: no mapping compares it\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s%s", want, &out, &stderr)
		}
	}
}
