package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// The hint for a Java keystore that stands in place of a key is a command of this program.
func TestTheHintForAJavaKeystoreImportsIt(t *testing.T) {
	t.Chdir(t.TempDir())
	alice := testpki.NewCA("CA").Leaf("alice")
	der, err := x509.MarshalPKCS8PrivateKey(alice.Key)
	if err != nil {
		t.Fatal(err)
	}
	store := keystore.New()
	entry := keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: der, CertificateChain: []keystore.Certificate{{Type: "X.509", Content: alice.Cert.Raw}}}
	if err := store.SetPrivateKeyEntry("alice", entry, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	var data, out, errs bytes.Buffer
	if err := store.Store(&data, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	put(t, "server.jks", data.String())
	put(t, "PASSWORD.txt", "secret\n")
	e := fileform.Explain("server.jks", data.Bytes(), fileform.Key)
	if e == nil {
		t.Fatal("no error")
	}
	command, ok := strings.CutPrefix(e.Hint, "convert it: mtlsguard ")
	if code := run(t.Context(), strings.Fields(command), strings.NewReader(""), &out, &errs); !ok || code != exitYes {
		t.Fatalf("the command of the hint %q: %s", e.Hint, errs.String())
	}
	key, err := os.ReadFile(filepath.Join("server.new", "alice-key.pem"))
	if err != nil || fileform.Explain("alice-key.pem", key, fileform.Key) != nil {
		t.Errorf("got %s, %v; want a key that can be read", out.String(), err)
	}
}

// Of a keystore with certificates of one key, and with authorities of one name and key, keys
// import writes those that are valid, and names the others.
func TestKeysImportTakesTheCurrentCertificates(t *testing.T) {
	t.Chdir(t.TempDir())
	now, day := time.Now(), 24*time.Hour
	between := func(from, to time.Duration) testpki.Option {
		return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = now.Add(from*day), now.Add(to*day) }
	}
	again := func(issuer, p *testpki.Pair) *x509.Certificate {
		template := *p.Cert
		template.SerialNumber = nil
		return testpki.Make(issuer, p.Key, &template, between(-1, 60)).Cert
	}
	ca := testpki.NewCA("CA", between(-100, 100))
	sub := ca.SubCA("Sub CA", between(-50, -2))
	old := sub.Leaf("alice", between(-40, -3))
	current, subCurrent := again(sub, old), again(ca, sub)
	all := []*x509.Certificate{old.Cert, sub.Cert, current, subCurrent}

	key, err := x509.MarshalPKCS8PrivateKey(old.Key)
	if err != nil {
		t.Fatal(err)
	}
	entry := keystore.PrivateKeyEntry{CreationTime: now, PrivateKey: key}
	text := string(old.KeyPEM())
	for _, c := range all {
		entry.CertificateChain = append(entry.CertificateChain, keystore.Certificate{Type: "X.509", Content: c.Raw})
		text += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	p12, err := pkcs12.Modern.Encode(old.Key, old.Cert, all[1:], "secret")
	if err != nil {
		t.Fatal(err)
	}
	store := keystore.New()
	if err := store.SetPrivateKeyEntry("alice", entry, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	var jks bytes.Buffer
	if err := store.Store(&jks, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	put(t, "PASSWORD.txt", "secret\n")
	for name, data := range map[string]string{"alice.p12": string(p12), "alice.jks": jks.String(), "alice.pem": text} {
		put(t, name, data)
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"keys", "import", name, "--password-file", "PASSWORD.txt", "--out", name + ".new"}, strings.NewReader(""), &out, &errs); code != exitYes {
			t.Errorf("%s: the import: %s", name, errs.String())
			continue
		}
		var chain []*x509.Certificate
		rest, _ := os.ReadFile(filepath.Join(name+".new", "alice.pem"))
		for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			chain = append(chain, c)
		}
		if len(chain) != 2 || !chain[0].Equal(current) || !chain[1].Equal(subCurrent) {
			t.Errorf("%s: %d certificates, or others than the current ones", name, len(chain))
		}
		for _, c := range []*x509.Certificate{old.Cert, sub.Cert} {
			if want := c.NotAfter.UTC().Format(time.RFC3339) + ", serial "; !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", name, want, out.String())
			}
		}
	}
}
