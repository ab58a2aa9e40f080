package certfile

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

// stores returns a leaf with its authority in every format.
func stores(tb testing.TB) (leaf, sub *testpki.Pair, files map[string][]byte) {
	tb.Helper()
	ca := testpki.NewCA("CA")
	sub = ca.SubCA("Sub CA")
	leaf = sub.Leaf("alice")
	files = map[string][]byte{
		"chain.pem": append([]byte("Certificate:\n    Data:\n"), append(leaf.CertPEM(), leaf.KeyPEM()...)...),
		"leaf.der":  leaf.Cert.Raw,
	}
	var err error
	if files["leaf.p12"], err = pkcs12.Modern.Encode(leaf.Key, leaf.Cert, leaf.Chain, "secret"); err != nil {
		tb.Fatal(err)
	}
	if files["trust.p12"], err = pkcs12.Modern.EncodeTrustStore(leaf.Chain, "secret"); err != nil {
		tb.Fatal(err)
	}
	store := keystore.New()
	block, _ := pem.Decode(leaf.KeyPEM())
	entry := keystore.PrivateKeyEntry{PrivateKey: block.Bytes}
	for _, c := range leaf.Presented() {
		entry.CertificateChain = append(entry.CertificateChain, keystore.Certificate{Type: "X509", Content: c.Raw})
	}
	if err := store.SetPrivateKeyEntry("alice", entry, []byte("secret2")); err != nil {
		tb.Fatal(err)
	}
	if err := store.SetTrustedCertificateEntry("ca", keystore.TrustedCertificateEntry{Certificate: keystore.Certificate{Type: "X509", Content: ca.Cert.Raw}}); err != nil {
		tb.Fatal(err)
	}
	var jks bytes.Buffer
	if err := store.Store(&jks, []byte("secret")); err != nil {
		tb.Fatal(err)
	}
	files["both.jks"] = jks.Bytes()
	return leaf, sub, files
}

func TestEveryFormatIsRead(t *testing.T) {
	t.Parallel()
	leaf, _, files := stores(t)
	for _, row := range []struct {
		file    string
		p       Passwords
		entries int
		chain   int
		key     bool
	}{
		{"chain.pem", Passwords{}, 1, 2, true},
		{"leaf.der", Passwords{}, 1, 1, false},
		{"leaf.p12", Passwords{Store: "secret"}, 1, 2, true},
		{"trust.p12", Passwords{Store: "secret"}, 1, 1, false},
		{"both.jks", Passwords{Store: "secret", Key: "secret2"}, 2, 2, true},
		{"both.jks", Passwords{Store: "secret"}, 2, 2, false}, // the key is locked
	} {
		entries, err := parse(row.file, files[row.file], row.p)
		if err != nil || len(entries) != row.entries || len(entries[0].Chain) != row.chain || (entries[0].Key != nil) != row.key {
			t.Errorf("%s: got %+v, %v", row.file, entries, err)
			continue
		}
		if row.key && (!KeyMatches(entries[0].Key, leaf.Cert) || !entries[0].Chain[0].Equal(leaf.Cert)) {
			t.Errorf("%s: the leaf is not the first certificate", row.file)
		}
		if locked := entries[0].Locked != nil; locked != (row.file == "both.jks" && !row.key) {
			t.Errorf("%s: locked: %v", row.file, entries[0].Locked)
		}
	}
}

func TestBadFilesAreRejectedWithAHint(t *testing.T) {
	t.Parallel()
	_, _, files := stores(t)
	pemFile := files["chain.pem"]
	for _, row := range []struct {
		name string
		data []byte
		p    Passwords
		want string
	}{
		{"wrong password", files["leaf.p12"], Passwords{Store: "x"}, "the password"},
		{"wrong password", files["both.jks"], Passwords{Store: "x"}, "the password"},
		{"truncated keystore", files["both.jks"][:200], Passwords{Store: "secret"}, "damaged"},
		{"a length of 4 GiB", []byte("\xfe\xed\xfe\xed\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x01\x00\x01aAAAAAAAA\xff\xff\xff\xff"), Passwords{}, "damaged"},
		{"bytes after the keystore", append(bytes.Clone(files["both.jks"]), 0), Passwords{Store: "secret"}, "damaged"},
		{"truncated PKCS#12", files["leaf.p12"][:100], Passwords{Store: "secret"}, "neither"},
		{"JCEKS", []byte("\xce\xce\xce\xce\x00\x00"), Passwords{}, "JCEKS"},
		{"truncated PEM", pemFile[:len(pemFile)-40], Passwords{}, "block has no end"},
		{"an encrypted key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), Passwords{}, "encrypted"},
		{"no certificate", []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), Passwords{}, "cannot be parsed"},
		{"two keys", append(bytes.Clone(pemFile), testpki.NewCA("x").KeyPEM()...), Passwords{}, "two keys"},
		{"text", []byte("hello"), Passwords{}, "no certificate"},
	} {
		entries, err := parse("file", row.data, row.p)
		all := configerror.All(err)
		if len(entries) > 0 || len(all) != 1 || !strings.Contains(all[0].What, row.want) || all[0].Hint == "" {
			t.Errorf("%s: got %v, %v; want %v", row.name, entries, err, row.want)
		}
	}
}

func TestOnlyRegularFilesOfBoundedSizeAreRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe, empty, big := filepath.Join(dir, "pipe"), filepath.Join(dir, "empty"), filepath.Join(dir, "big")
	for _, err := range []error{testkit.NamedPipe(pipe), os.WriteFile(empty, nil, 0o600), os.WriteFile(big, nil, 0o600), os.Truncate(big, maxFileBytes+1)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{pipe: "regular", empty: "empty", big: "larger", dir: "regular", filepath.Join(dir, "none"): "no such", "/dev/zero": "regular"} {
		if _, err := ReadFile(name); err == nil || !strings.Contains(err.Error(), want) || configerror.All(err)[0].Hint == "" {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
	if err := os.Truncate(big, maxStoreBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(big, Passwords{}); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("got %v, want larger", err)
	}
}

// No content panics, gives an entry without a certificate, or an error without a hint.
func FuzzParse(f *testing.F) {
	_, _, files := stores(f)
	for _, data := range files {
		f.Add(data)
	}
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----BEGIN "))
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.HasPrefix(data, []byte{0x30}) {
			return // a PKCS#12 file can require minutes of key derivation: Read has a timeout
		}
		entries, err := parse("file", data, Passwords{Store: "secret", Key: "secret2"})
		for _, e := range entries {
			if len(e.Chain) == 0 {
				t.Error("an entry without a certificate")
			}
		}
		for _, m := range configerror.All(err) {
			if m.Hint == "" || m.What == "" {
				t.Errorf("got %+v", m)
			}
		}
		if err == nil && len(entries) == 0 {
			t.Error("no entry and no error")
		}
	})
}
