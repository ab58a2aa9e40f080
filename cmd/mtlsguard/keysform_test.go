package main

import (
	"bytes"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"

	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// The hint for a Java keystore that stands in place of a key is a command of this program.
// Covers K1, K5.
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
		t.Fatalf("%s: %s", e.Hint, errs.String())
	}
	key, err := os.ReadFile(filepath.Join("server.new", "alice-key.pem"))
	if err != nil || fileform.Explain("alice-key.pem", key, fileform.Key) != nil {
		t.Errorf("%s, %v", out.String(), err)
	}
}
