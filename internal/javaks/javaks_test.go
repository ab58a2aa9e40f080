package javaks

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	keystore "github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/mtlsguard/mtlsguard/internal/certchain"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
)

const password = "correct horse"

// jks returns a Java keystore with the key "a", whose chain has so many certificates, and
// the trusted certificate "root".
func jks(tb testing.TB, p *testpki.Pair, keyPassword string, certificates int) []byte {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		tb.Fatal(err)
	}
	store := keystore.New(keystore.WithCaseExactAliases(), keystore.WithOrderedAliases())
	entry := keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: der}
	for range certificates {
		entry.CertificateChain = append(entry.CertificateChain, keystore.Certificate{Type: "X509", Content: p.Cert.Raw})
	}
	if err := store.SetPrivateKeyEntry("A", entry, []byte(keyPassword)); err != nil {
		tb.Fatal(err)
	}
	trusted := keystore.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: keystore.Certificate{Type: "X509", Content: p.Cert.Raw}}
	if err := store.SetTrustedCertificateEntry("root", trusted); err != nil {
		tb.Fatal(err)
	}
	var out bytes.Buffer
	if err := store.Store(&out, []byte(password)); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func TestJKSEntries(t *testing.T) {
	t.Parallel()
	alice := testpki.NewCA("CA").Leaf("alice")
	entries, err := ReadJKS(jks(t, alice, "another", 2), password, "another")
	if err != nil || len(entries) != 2 {
		t.Fatal(entries, err)
	}
	if e := entries[0]; e.Alias != "A" || !e.HasKey || !certchain.IsKeyOf(e.Key, alice.Cert) || len(e.Chain) != 2 || e.Err != nil || e.KeyErr != nil {
		t.Errorf("got %+v, want entry A with its key and two certificates", e)
	}
	if e := entries[1]; e.Alias != "root" || e.HasKey || e.Key != nil || len(e.Chain) != 1 || e.Err != nil {
		t.Errorf("got %+v, want entry root with one certificate", e)
	}
	// A key with another password leaves the certificates readable.
	entries, err = ReadJKS(jks(t, alice, "another", 1), password, password)
	if err != nil || !errors.Is(entries[0].KeyErr, ErrKeyPassword) || entries[0].Key != nil || len(entries[0].Chain) != 1 {
		t.Errorf("got %+v, %v", entries, err)
	}
}

// The sizes of keys, the certificates and the iterations of a keystore are bounded.
func TestHostileFilesAreRejected(t *testing.T) {
	t.Parallel()
	alice := testpki.NewCA("CA").Leaf("alice")
	good := jks(t, alice, password, 1)
	shortKey := bytes.Clone(good)
	key := bytes.Index(good, []byte{0, 1, 'A'}) + 3 + 8 // after the alias and the date
	size := binary.BigEndian.Uint32(good[key:])
	shortKey = append(append(shortKey[:key:key], 0, 0, 0, 5, 0x30, 3, 4, 1, 0), good[key+4+int(size):]...)
	for name, row := range map[string]struct {
		data []byte
		want error
	}{
		"as many certificates as allowed": {jks(t, alice, password, maxChain), nil},
		"too many certificates":           {jks(t, alice, password, maxChain+1), ErrDamaged},
		"a key without salt":              {shortKey, ErrDamaged},
		"truncated":                       {good[:len(good)-1], ErrDamaged},
		"bytes after the end":             {append(bytes.Clone(good), 0), ErrDamaged},
		"version 3":                       {append([]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 3}, good[8:]...), ErrDamaged},
		"4 Gi entries":                    {[]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff}, ErrDamaged},
		"a wrong digest":                  {append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), ErrPassword},
		"empty":                           {nil, ErrDamaged},
	} {
		entries, err := ReadJKS(row.data, password, password)
		if !errors.Is(err, row.want) || (err != nil) != (row.want != nil) || err != nil && entries != nil {
			t.Errorf("%s: %v, want %v", name, err, row.want)
		}
	}
	if _, err := ReadJKS(good, "wrong", password); !errors.Is(err, ErrPassword) {
		t.Error(err)
	}

	bomb, err := pkcs12.Modern2023.WithIterations(0x010001).Encode(alice.Key, alice.Cert, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	bomb = bytes.ReplaceAll(bomb, []byte{2, 3, 1, 0, 1}, []byte{2, 3, 0x7f, 0xff, 0xff})
	if _, _, err := ReadPKCS12(bomb, ""); !errors.Is(err, ErrIterations) {
		t.Error(err)
	}
	if _, err := ReadTrustStore(bomb, ""); !errors.Is(err, ErrIterations) {
		t.Error(err)
	}
}

func TestPKCS12IsRead(t *testing.T) {
	t.Parallel()
	ca := testpki.NewCA("CA")
	alice := ca.Leaf("alice")
	data, err := pkcs12.Modern.Encode(alice.Key, alice.Cert, []*x509.Certificate{ca.Cert}, password)
	if err != nil {
		t.Fatal(err)
	}
	if key, chain, err := ReadPKCS12(data, password); err != nil || !certchain.IsKeyOf(key, alice.Cert) || len(chain) != 2 {
		t.Errorf("%d certificates, %v", len(chain), err)
	}
	if _, _, err := ReadPKCS12(data, "wrong"); !errors.Is(err, ErrPassword) {
		t.Error(err)
	}
	data, err = pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca.Cert}, password)
	if err != nil {
		t.Fatal(err)
	}
	if all, err := ReadTrustStore(data, password); err != nil || len(all) != 1 {
		t.Errorf("%d certificates, %v", len(all), err)
	}
	if _, err := ReadTrustStore(data, "wrong"); !errors.Is(err, ErrPassword) {
		t.Error(err)
	}
}

func FuzzPKCS12(f *testing.F) {
	alice := testpki.NewCA("CA").Leaf("alice")
	for _, e := range []*pkcs12.Encoder{pkcs12.Modern2023, pkcs12.Modern2026, pkcs12.LegacyDES, pkcs12.LegacyRC2} {
		data, err := e.WithIterations(1).Encode(alice.Key, alice.Cert, nil, password)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[1:])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if data = append([]byte{0x30}, data...); iterations(data, 0) > 1000 {
			return // more iterations are only slower
		}
		_, _, _ = ReadPKCS12(data, password)
		_, _ = ReadTrustStore(data, password)
	})
}
