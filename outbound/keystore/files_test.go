package keystore_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

// Every format is presented to a server that has only the root: the chain must be complete, in
// any order in the file.
func TestEveryFormatIsPresentedWithItsChain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rsaKey := testkit.RSAKey(t, 2048)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ecDER, err := x509.MarshalECPrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	withRSA, withEC := sub.LeafWithKey("alice", rsaKey), sub.LeafWithKey("alice", ecKey)
	block := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	attributes := []byte("Bag Attributes\n    friendlyName: alice\nsubject=CN = alice\n")
	rows := []struct {
		name  string
		data  []byte
		entry keystore.Entry
	}{
		{"PEM", pemOf(alice), keystore.Entry{}},
		{"PEM, key first", append(alice.KeyPEM(), alice.CertPEM()...), keystore.Entry{}},
		{"PEM with text", append(append(attributes, alice.CertPEM()...), append(attributes, alice.KeyPEM()...)...), keystore.Entry{}},
		{"PEM, PKCS#1", append(withRSA.CertPEM(), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey))...), keystore.Entry{}},
		{"PEM, SEC 1", append(withEC.CertPEM(), append(block("EC PARAMETERS", []byte{6, 0}), block("EC PRIVATE KEY", ecDER)...)...), keystore.Entry{}},
		{"PEM in two files", alice.CertPEM(), keystore.Entry{Key: writeFile(t, dir, "key", alice.KeyPEM())}},
		{"PEM in two files, the certificate in both", alice.CertPEM(), keystore.Entry{Key: writeFile(t, dir, "both", pemOf(alice))}},
		{"PKCS#12", pkcs12Of(t, alice, pkcs12.Modern2023), keystore.Entry{Password: getPassword}},
		{"PKCS#12, PBMAC1", pkcs12Of(t, alice, pkcs12.Modern2026), keystore.Entry{Password: getPassword}},
		{"PKCS#12, 3DES", pkcs12Of(t, alice, pkcs12.LegacyDES), keystore.Entry{Password: getPassword}},
		{"PKCS#12, RC2", pkcs12Of(t, alice, pkcs12.LegacyRC2), keystore.Entry{Password: getPassword}},
		{"JKS", jksOf(t, password, map[string]*testpki.Pair{"key": alice}), keystore.Entry{Password: getPassword}},
		{"JKS, by entry", jksOf(t, password, map[string]*testpki.Pair{"Key-A": alice, "key-b": bob}), keystore.Entry{Password: getPassword, Entry: "KEY-A"}},
		{"JKS, a key with a password of its own", jksOf(t, "another one", map[string]*testpki.Pair{"key": alice}),
			keystore.Entry{Password: getPassword, KeyPassword: func() (string, error) { return "another one", nil }}},
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server().TLS()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()}
	server.StartTLS()
	t.Cleanup(server.Close)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			e := row.entry
			e.Alias, e.File = "a", writeFile(t, dir, "file", row.data)
			keys, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{e}})
			if err != nil {
				t.Fatal(err)
			}
			wantCall(t, keys, server.URL, "alice")
			if w := keys.Warnings(); len(w) != 0 {
				t.Errorf("got the warnings %q, want none", w)
			}
		})
	}
}

// wantCall presents the alias "a" to a server that answers with the client's name.
func wantCall(t *testing.T, keys outbound.Keystore, url, want string) {
	t.Helper()
	transport, err := outbound.New(outbound.Config{Keystore: keys, Roots: ca.Pool(), Default: "a"})
	if err != nil {
		t.Fatal(err)
	}
	defer transport.Close()
	response, err := (&http.Client{Transport: transport, Timeout: testkit.Patience}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if got, err := io.ReadAll(response.Body); string(got) != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// OpenSSL writes PKCS#12 with several options.
func TestFormatsOfOpenSSLAreRead(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	dir := t.TempDir()
	writeFile(t, dir, "cert.pem", alice.Cert.Raw)
	writeFile(t, dir, "all.pem", pemOf(alice))
	writeFile(t, dir, "chain.pem", append(sub.CertPEM(), ca.CertPEM()...))
	for _, arguments := range [][]string{
		nil,
		{"-descert"},
		{"-keypbe", "NONE", "-certpbe", "NONE"},
		{"-macalg", "sha512", "-iter", "100000"},
		{"-caname", "x", "-name", "Ålice ✓"},
	} {
		cmd := exec.Command("openssl", append([]string{"pkcs12", "-export", "-in", "all.pem", "-certfile", "chain.pem", "-out", "out.p12", "-passout", "pass:" + password}, arguments...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("the command %q: %s", arguments, out)
		}
		keys, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{{Alias: "a", File: filepath.Join(dir, "out.p12"), Password: getPassword}}})
		if err != nil {
			t.Errorf("%q: the file: %v", arguments, err)
			continue
		}
		wantLeaf(t, keys, "a", alice)
	}
}

// The error names the file.
func TestBadFilesAreRejected(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, goodJKS := pkcs12Of(t, alice, pkcs12.Modern2023), jksOf(t, password, map[string]*testpki.Pair{"a": alice, "b": bob})
	bomb, err := pkcs12.Modern2023.WithIterations(0x010001).Encode(alice.Key, alice.Cert, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	bomb = bytes.ReplaceAll(bomb, []byte{2, 3, 1, 0, 1}, []byte{2, 3, 0x7f, 0xff, 0xff})
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: []byte{1}, Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}})
	for _, row := range []struct {
		name  string
		data  []byte
		entry keystore.Entry
		want  string
	}{
		{"empty", nil, keystore.Entry{}, "empty"},
		{"too large", bytes.Repeat([]byte("x"), 1<<20+1), keystore.Entry{}, "larger than"},
		{"text", []byte("hello\n"), keystore.Entry{}, "no certificate"},
		{"no key", alice.CertPEM(), keystore.Entry{}, "no key"},
		{"a key only", alice.KeyPEM(), keystore.Entry{}, "no certificate"},
		{"two keys", append(pemOf(alice), bob.KeyPEM()...), keystore.Entry{}, "a second key"},
		{"another's key", append(alice.CertPEM(), bob.KeyPEM()...), keystore.Entry{}, "not that of the certificate"},
		{"out of order", append(append(sub.CertPEM(), alice.CertPEM()...), alice.KeyPEM()...), keystore.Entry{}, "not the issuer"},
		{"a key in both files", pemOf(alice), keystore.Entry{Key: writeFile(t, dir, "k", alice.KeyPEM())}, "Key names another file"},
		{"the key's file has no key", alice.CertPEM(), keystore.Entry{Key: writeFile(t, dir, "c", alice.CertPEM())}, "not a private key"},
		{"the key's file is missing", alice.CertPEM(), keystore.Entry{Key: filepath.Join(dir, "lost")}, "no such file"},
		{"cut off", pemOf(alice)[:len(pemOf(alice))-20], keystore.Entry{}, "no end"},
		{"cut off within", append(alice.CertPEM()[:100], pemOf(alice)...), keystore.Entry{}, "no end"},
		{"damaged", bytes.Replace(pemOf(alice), []byte("\nMII"), []byte("\n***"), 1), keystore.Entry{}, "damaged"},
		{"garbage in a block", append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}}), pemOf(alice)...), keystore.Entry{}, "cannot be parsed"},
		{"a garbled key", append(alice.CertPEM(), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte{1}})...), keystore.Entry{}, "the key cannot be parsed"},
		{"an encrypted key", append(alice.CertPEM(), encrypted...), keystore.Entry{}, "encrypted"},
		{"an encrypted key, PKCS#8", append(alice.CertPEM(), pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}})...), keystore.Entry{}, "encrypted"},
		{"another block", append(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: []byte{1}}), pemOf(alice)...), keystore.Entry{}, "X509 CRL"},
		{"PKCS#12, wrong password", good, keystore.Entry{}, "password of the file is wrong"},
		{"PKCS#12, cut off", good[:len(good)-10], keystore.Entry{Password: getPassword}, "cannot be parsed"},
		{"PKCS#12, no password", good, keystore.Entry{Password: func() (string, error) { return "", errors.New("gone") }}, "gone"},
		{"PKCS#12 with a key file", good, keystore.Entry{Key: writeFile(t, dir, "k2", alice.KeyPEM()), Password: getPassword}, "only a PEM file"},
		{"PKCS#12 with an entry", good, keystore.Entry{Entry: "x", Password: getPassword}, "only a Java keystore"},
		{"PKCS#12 with many iterations", bomb, keystore.Entry{}, "iterations"},
		{"PKCS#12, another's key", mustEncode(t, bob.Key, alice.Cert), keystore.Entry{Password: getPassword}, "belongs to the key"},
		{"a certificate in DER", alice.Cert.Raw, keystore.Entry{}, "a certificate in DER"},
		{"JKS, two keys", goodJKS, keystore.Entry{Password: getPassword}, "several keys"},
		{"JKS, no such entry", goodJKS, keystore.Entry{Password: getPassword, Entry: "root"}, "no such entry"},
		{"JKS, wrong password", goodJKS, keystore.Entry{Entry: "a"}, "password"},
		{"JKS, wrong password of the key", goodJKS, keystore.Entry{Entry: "a", Password: getPassword, KeyPassword: func() (string, error) { return "x", nil }}, "decrypted"},
		{"JKS, cut off", goodJKS[:len(goodJKS)-1], keystore.Entry{Entry: "a", Password: getPassword}, "keystore is damaged"},
		{"JKS, changed", append(bytes.Clone(goodJKS[:len(goodJKS)-1]), goodJKS[len(goodJKS)-1]^1), keystore.Entry{Entry: "a", Password: getPassword}, "password"},
		{"JKS with certificates only", jksOf(t, password, nil), keystore.Entry{Password: getPassword}, "no key"},
		{"JKS with a length of 4 GiB", append(append([]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 'a'}, make([]byte, 8)...), 0xff, 0xff, 0xff, 0xff), keystore.Entry{}, "keystore is damaged"},
		{"JKS with 4 Gi entries", []byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff}, keystore.Entry{}, "keystore is damaged"},
		{"JCEKS", []byte{0xce, 0xce, 0xce, 0xce, 0}, keystore.Entry{}, "JCEKS"},
		{"a certificate for servers", pemOf(ca.Server()), keystore.Entry{}, "not for client authentication"},
		{"a bad origin", pemOf(alice), keystore.Entry{Origins: []string{"http://x"}}, "https only"},
	} {
		e := row.entry
		e.Alias, e.File = "a", writeFile(t, dir, "file", row.data)
		keys, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{e}})
		all := configerror.All(err)
		if keys != nil || len(all) == 0 || all[0].File == "" || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want an error of the file with %q", row.name, err, row.want)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Errorf("%s: the password is in the error", row.name)
		}
	}
	for name, path := range map[string]string{"a folder": dir, "lost": filepath.Join(dir, "lost"), "a device": os.DevNull} {
		if _, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{{Alias: "a", File: path}}}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	if _, err := keystore.NewFiles(keystore.FilesConfig{}); err == nil {
		t.Error("an empty configuration is accepted")
	}
	lost := keystore.Entry{Alias: "/", File: filepath.Join(dir, "lost")}
	if _, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{lost, lost, lost}}); len(configerror.All(err)) != 3 {
		t.Errorf("not all errors are reported: %v", err)
	}
}

func mustEncode(t *testing.T, key any, cert *x509.Certificate) []byte {
	t.Helper()
	data, err := pkcs12.Modern2023.Encode(key, cert, nil, password)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A named pipe is rejected without waiting for its writer.
func TestNamedPipeIsRejected(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := testkit.NamedPipe(path); err != nil {
		if os.Getenv("MTLSGUARD_REQUIRE_ALL") == "1" {
			t.Fatal(err)
		}
		t.Skipf("named pipes are missing on this system: %v", err)
	}
	if _, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{{Alias: "a", File: path}}}); err == nil || !strings.Contains(err.Error(), "regular") {
		t.Error(err)
	}
}

// A valid change is used at once. An invalid one is not, and neither are the other changes of
// that reload.
func TestReloadUsesGoodFilesOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		calls := 0
		entries := []keystore.Entry{
			{Alias: "a", File: writeFile(t, dir, "a.pem", pemOf(alice))},
			{Alias: "b", File: writeFile(t, dir, "b.p12", pkcs12Of(t, bob, pkcs12.Modern)), Password: func() (string, error) { calls++; return password, nil }},
		}
		keys, err := keystore.NewFiles(keystore.FilesConfig{Entries: entries})
		if err != nil {
			t.Fatal(err)
		}
		before, _ := keys.Credential("b")
		if err := keys.Reload(); err != nil || calls != 1 {
			t.Errorf("%v; unchanged files were decrypted %d times", err, calls)
		}
		if after, _ := keys.Credential("b"); after != before {
			t.Error("another credential for the same file")
		}
		renewed := sub.Leaf("alice")
		writeFile(t, dir, "a.pem", pemOf(renewed))
		writeFile(t, dir, "b.p12", []byte("garbage"))
		if err := keys.Reload(); len(configerror.All(err)) != 1 {
			t.Error(err)
		}
		wantLeaf(t, keys, "a", alice)
		wantLeaf(t, keys, "b", bob)
		writeFile(t, dir, "b.p12", pkcs12Of(t, bob, pkcs12.Modern))
		if err := keys.Reload(); err != nil {
			t.Error(err)
		}
		wantLeaf(t, keys, "a", renewed)
		if got := keys.Aliases(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("got the aliases %q, want a and b", got)
		}
		if _, err := keys.Credential("c"); !errors.Is(err, outbound.ErrUnknownAlias) {
			t.Error(err)
		}
	})
}

// Warnings reports keys that every user can read, but not certificates.
func TestReadableKeysAreReported(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("this system has no such file modes")
	}
	dir := t.TempDir()
	both, cert, key := writeFile(t, dir, "both", pemOf(alice)), writeFile(t, dir, "cert", alice.CertPEM()), writeFile(t, dir, "key", alice.KeyPEM())
	for _, path := range []string{both, cert, key} {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{{Alias: "a", File: both}, {Alias: "b", File: cert, Key: key}}})
	if err != nil {
		t.Fatal(err)
	}
	if w := keys.Warnings(); len(w) != 2 || !strings.Contains(w[0], both) || !strings.Contains(w[1], key) {
		t.Errorf("got the warnings %q, want two", w)
	}
	os.Chmod(both, 0o640)
	os.Chmod(key, 0o600)
	if err := keys.Reload(); err != nil || len(keys.Warnings()) != 0 {
		t.Errorf("got %v, warnings %q; want none", err, keys.Warnings())
	}
}

func TestWatchReportsErrorsAndLoadsFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		writeFile(t, dir, "a.pem", pemOf(alice))
		keys, err := keystore.NewDirectory(keystore.DirectoryConfig{Path: dir})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		reports, ended := make(chan error, 100), make(chan struct{})
		go func() {
			keys.Watch(ctx, 0, func(err error) { reports <- err })
			close(ended)
		}()
		writeFile(t, dir, "b.pem", []byte("garbage"))
		if err := <-reports; len(configerror.All(err)) != 1 {
			t.Error(err)
		}
		writeFile(t, dir, "b.pem", pemOf(bob))
		for end := time.Now().Add(testkit.Patience); len(keys.Aliases()) != 2; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("b was not loaded")
			}
		}
		cancel()
		<-ended
	})
}
