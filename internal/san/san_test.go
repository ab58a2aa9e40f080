package san_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/san"
)

func encode(t *testing.T, names ...asn1.RawValue) []byte {
	t.Helper()
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func name(class, tag int, value string) asn1.RawValue {
	return asn1.RawValue{Class: class, Tag: tag, Bytes: []byte(value)}
}

func extension(der []byte) pkix.Extension {
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: der}
}

// Names of a damaged or repeated extension do not count.
func TestNamesOfADamagedExtensionDoNotCount(t *testing.T) {
	t.Parallel()
	good := encode(t, name(2, san.DNS, "A.example"), name(2, san.URI, "spiffe://acme/%61"), name(2, san.Email, "a@acme.example"), name(2, san.DNS, "b.example"))
	for text, row := range map[string]struct {
		extensions []pkix.Extension
		dns        []string
	}{
		"two DNS names":            {[]pkix.Extension{extension(good)}, []string{"A.example", "b.example"}},
		"no extension":             {nil, nil},
		"another extension":        {[]pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 18}, Value: good}}, nil},
		"a name of another class":  {[]pkix.Extension{extension(encode(t, name(1, san.DNS, "a"), name(2, san.DNS, "b")))}, []string{"b"}},
		"bytes after the names":    {[]pkix.Extension{extension(append(slices.Clone(good), 0))}, nil},
		"half of the names":        {[]pkix.Extension{extension(good[:len(good)-3])}, nil},
		"not a sequence":           {[]pkix.Extension{extension([]byte{4, 1, 0})}, nil},
		"the extension twice":      {[]pkix.Extension{extension(good), extension(good)}, nil},
		"an empty list":            {[]pkix.Extension{extension(encode(t))}, nil},
		"a damaged one and a good": {[]pkix.Extension{extension([]byte{0x30}), extension(good)}, nil},
	} {
		if got := san.Values(&x509.Certificate{Extensions: row.extensions}, san.DNS); !slices.Equal(got, row.dns) {
			t.Errorf("%s: %q, want %q", text, got, row.dns)
		}
	}
	c := &x509.Certificate{Extensions: []pkix.Extension{extension(good)}}
	if uri, email := san.Values(c, san.URI), san.Values(c, san.Email); !slices.Equal(uri, []string{"spiffe://acme/%61"}) || !slices.Equal(email, []string{"a@acme.example"}) {
		t.Errorf("got %q, %q", uri, email)
	}
	if got := san.Names(c); len(got) != 4 || got[0] != (san.Name{Tag: san.DNS, Value: "A.example"}) || got[3].Value != "b.example" {
		t.Errorf("got %v, want four names", got)
	}
}
