package keystore_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/alias"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
)

func FuzzPEM(f *testing.F) {
	f.Add(pemOf(alice), []byte(nil))
	f.Add(alice.CertPEM(), alice.KeyPEM())
	f.Add([]byte("-----BEGIN X-----\n-----BEGIN -----END X-----"), []byte("-----BEGIN -----"))
	f.Fuzz(func(t *testing.T, data, key []byte) {
		if keystore.Parse(data, key, "", "") && !strings.Contains(string(data), "-----BEGIN CERTIFICATE-----") {
			t.Error("an empty file is a credential")
		}
	})
}

func FuzzJKS(f *testing.F) {
	f.Add(jksOf(f, password, map[string]*testpki.Pair{"a": alice})[4:], "")
	f.Add(jksOf(f, password, map[string]*testpki.Pair{"a": alice, "b": bob})[4:], "a")
	f.Fuzz(func(t *testing.T, data []byte, entry string) {
		keystore.Parse(append([]byte{0xfe, 0xed, 0xfe, 0xed}, data...), nil, entry, password)
	})
}

func FuzzAliasOf(f *testing.F) {
	for _, name := range []string{"a.pem", "a+b.p12", "+.jks", "../a.pem", "a.pfx.pem"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, file string) {
		if name, ok := keystore.AliasOf(file); ok && (!alias.Valid(name) || !strings.HasPrefix(file, name)) {
			t.Errorf("%q: got the alias %q, which is not valid or not of the file", file, name)
		}
	})
}
