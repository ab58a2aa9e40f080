package trust_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/trust"
)

func TestFilesReadsAllCertificatesOrNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b, c := testpki.NewCA("A"), testpki.NewCA("B"), testpki.NewCA("C")
	file := func(name string, content ...[]byte) string {
		path := filepath.Join(dir, name)
		var all []byte
		for _, x := range content {
			all = append(all, x...)
		}
		if err := os.WriteFile(path, all, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	two, one := file("two.pem", a.CertPEM(), b.CertPEM()), file("one.pem", c.CertPEM())
	got, err := trust.Files(two, one)
	if err != nil || len(got) != 3 || !got[0].Equal(a.Cert) || !got[1].Equal(b.Cert) || !got[2].Equal(c.Cert) {
		t.Errorf("got %d certificates, %v", len(got), err)
	}
	for name, x := range map[string]struct {
		paths []string
		want  string
	}{
		"no file":        {nil, "no file is named"},
		"a lost file":    {[]string{one, filepath.Join(dir, "lost.pem")}, "lost.pem: cannot be read"},
		"a folder":       {[]string{dir}, "cannot be read"},
		"an empty file":  {[]string{one, file("empty.pem")}, "empty.pem:1: "},
		"a key":          {[]string{file("key.pem", a.CertPEM(), a.KeyPEM())}, "key.pem:"},
		"a damaged file": {[]string{file("cut.pem", a.CertPEM(), b.CertPEM()[:200])}, "cut.pem:"},
	} {
		got, err := trust.Files(x.paths...)
		if got != nil || len(configerror.All(err)) != 1 || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %d certificates, %v", name, len(got), err)
		}
	}
}
