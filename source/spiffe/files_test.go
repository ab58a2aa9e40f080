package guardspiffe_test

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/mtlsguard/mtlsguard/trust"
)

// The folder of bundles stands over the base, which is not hidden otherwise.
func TestBundlesAreFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	base := fstest.MapFS{"mtlsguard.yaml": {Data: []byte("a")}, "etc/spiffe/acme.example.pem": {Data: []byte("b")}, "spiffe/acme.example.crl": {Data: []byte("c")}}
	fsys := w.source.Files(base, "spiffe/")
	read := func(name string) string {
		t.Helper()
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if got := read("mtlsguard.yaml") + read("etc/spiffe/acme.example.pem") + read("spiffe/acme.example.crl"); got != "abc" {
		t.Error(got)
	}
	if got := read("spiffe/acme.example.pem"); got != string(w.acme.CertPEM()) {
		t.Error(got)
	}
	info, err := fs.Stat(fsys, "spiffe/partner.example.pem")
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(w.partner.CertPEM())) || info.Name() != "partner.example.pem" {
		t.Errorf("got %v, %v; want a file with the bundle", info, err)
	}
	// The key of the placeholder authority for a missing bundle does not exist.
	absent := read("spiffe/other.example.pem")
	certs, err := trust.ReadCertificates("other", []byte(absent))
	if err != nil || len(certs) != 1 || certs[0].Subject.CommonName != "no bundle of other.example" || !certs[0].IsCA {
		t.Errorf("got %v, %v; want a certificate that names the missing bundle", certs, err)
	}
	if read("spiffe/other.example.pem") != absent {
		t.Error("the content changes at each look")
	}
	if read("spiffe/third.example.pem") == absent {
		t.Error("two trust domains have one authority")
	}
	for _, name := range []string{"spiffe/ACME.pem", "spiffe/a b.pem", "spiffe/.pem", "spiffe/acme.example", "spiffe/../spiffe/acme.example.pem", "/spiffe/acme.example.pem", "spiffe"} {
		if data, err := fs.ReadFile(fsys, name); err == nil {
			t.Errorf("%s was read: %s", name, data)
		} else if path, ok := errors.AsType[*fs.PathError](err); !ok || path.Op == "" {
			t.Errorf("%s: got an error of type %T, want a PathError with its operation", name, err)
		}
	}
}
