package main

import (
	"bytes"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"

	"github.com/mtlsguard/mtlsguard/internal/certfile"
)

// writeInstance writes what docs/from-webmethods.md has beside its files: the table of certificate
// mappings, whose certificates would fill the page, the keystore and the trust store of the port,
// and their password.
func writeInstance(t *testing.T) {
	t.Helper()
	var table strings.Builder
	table.WriteString("CERT_USER,CERT_USAGE,HEX(CERT_BYTES)\n")
	for _, row := range []struct {
		user        string
		usage       int
		certificate string
	}{{"alice", 1, "alice"}, {"alice", 2, "ed25519"}, {"bob", 1, "bob"}, {"orders_api", 1, "orders"}} {
		fmt.Fprintf(&table, "%s,%d,%X\n", row.user, row.usage, certificateOf(t, row.certificate).Raw)
	}
	put(t, "certmap.csv", table.String())
	put(t, "password.txt", "secret\n")

	key, err := certfile.ReadKey("server-key.pem")
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	store := keystore.New()
	chain := []keystore.Certificate{{Type: "X509", Content: certificateOf(t, "server").Raw}}
	if err := store.SetPrivateKeyEntry("server", keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: der, CertificateChain: chain}, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	putKeystore(t, "ACME_KS.jks", store)
	store = keystore.New()
	if err := store.SetTrustedCertificateEntry("client-ca", keystore.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: keystore.Certificate{Type: "X509", Content: certificateOf(t, "client-ca").Raw}}); err != nil {
		t.Fatal(err)
	}
	putKeystore(t, "ACME_TS.jks", store)
}

func certificateOf(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	entries, err := certfile.Read(name+".pem", certfile.Passwords{})
	if err != nil {
		t.Fatal(err)
	}
	return entries[0].Chain[0]
}

// putKeystore writes a Java keystore with the password secret.
func putKeystore(t *testing.T, name string, store keystore.KeyStore) {
	t.Helper()
	var data bytes.Buffer
	if err := store.Store(&data, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	put(t, name, data.String())
}
