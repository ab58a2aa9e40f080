package report

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"testing"
)

// An alternative name that is malformed is printed in hex, and breaks nothing.
func FuzzOtherName(f *testing.F) {
	for _, s := range []string{"\x06\x03\x2a\x03\x04\xa0\x03\x0c\x01a", "\x06\x00\xa0\x00", "", "\x06\x03\x2a\x03\x04\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		if kind, value := readOtherName(content); kind == "" || len(value) > len(content)+1000 && !strings.HasPrefix(value, "#") {
			t.Errorf("%q: got %q %q, want a short value", content, kind, value)
		}
		if readOID(content) == "" {
			t.Errorf("%q: no text", content)
		}
	})
}

func TestCertificateWithoutOtherNamesListsNone(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../testdata/pki/alice.pem")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if got := unmappableNames(c); len(got) != 0 {
		t.Error(got)
	}
}
