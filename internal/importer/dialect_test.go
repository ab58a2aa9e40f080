package importer_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/importertest"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// Every subject of the test certificates is written as openssl writes it, and read back.
func TestSubjectsAreWrittenAsOpenSSLDoes(t *testing.T) {
	t.Parallel()
	openssl := testkit.Program(t, "openssl", "openssl")
	in, err := importer.New(importer.Options{Certificates: []string{importertest.Folder(t, nil)}})
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for _, c := range in.Certificates.All() {
		subject := func(form string) string {
			out, err := exec.Command(openssl, "x509", "-in", c.File, "-noout", "-subject", "-nameopt", form).Output()
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(string(out), "subject="), " "), "\n")
		}
		want, err := dn.FromDER(c.Cert.RawSubject)
		text, ok := importer.OpenSSLText(c.Cert)
		if ok && text != subject("RFC2253") {
			t.Errorf("%s: %s, openssl %s", filepath.Base(c.File), text, subject("RFC2253"))
		}
		slash, _ := importer.SlashText(c.Cert, false)
		if ok && slash != subject("compat") {
			t.Errorf("%s: %s, openssl %s", filepath.Base(c.File), slash, subject("compat"))
		}
		if !ok {
			t.Logf("%s: %v %v", filepath.Base(c.File), err, want)
			continue
		}
		written++
		if got, err := importer.ParseOpenSSL(text, true); err == nil && got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		} else if err != nil && len(want.RDNs()) == strings.Count(slash, "/") {
			t.Errorf("%s: got %v", text, err)
		}
		if got, err := importer.ParseSlash(slash, true, false); err == nil && got != want && len(want.RDNs()) == strings.Count(slash, "/") {
			t.Errorf("%s: %v, want %v", slash, got, want)
		}
	}
	if written < 30 {
		t.Errorf("only %d subjects", written)
	}
}

func TestSubjectsThatAreNotReadFromTexts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "alice", "CN=alice, O=Acme", "CN = alice", "E=a@b", "OID.2.5.4.3=alice", "CN=alice+OU=Staff,O=Acme", `CN=\61lice`, "CN=#0c0161", "2.5.4.3=x", "CN=a/b=c;d"} {
		if name, err := importer.ParseOpenSSL(text, true); err == nil {
			t.Errorf("%q: got %v, want an error", text, name)
		}
	}
	for _, text := range []string{"", "/", "CN=alice", "/alice", "/O=Acme/Sub/CN=alice", "/O=Acme/X=1", "/CN=", "/CN= a", `/CN=\xZZ`, `/CN=\x`, "/E=a@b", "/O=Acme//CN=alice"} {
		if name, err := importer.ParseSlash(text, true, false); err == nil {
			t.Errorf("%q: got %v, want an error", text, name)
		}
	}
	for text, want := range map[string]string{
		`CN=partner\, Inc.,O=Partner`: `CN=partner\, Inc.,O=Partner`, `cn=J\C3\BCrgen,o=Acme`: "CN=Jürgen,O=Acme", "emailaddress=a@b.example,CN=a=b": "emailAddress=a@b.example,CN=a=b",
	} {
		if name, err := importer.ParseOpenSSL(text, true); err != nil || name.String() != want {
			t.Errorf("%q: got %v, %v; want %v", text, name, err, want)
		}
	}
	for text, want := range map[string]string{
		"/O=Acme/OU=Staff/CN=alice": "CN=alice,OU=Staff,O=Acme", `/O=A, B+C/CN=J\xC3\xBCrgen`: `CN=Jürgen,O=A\, B\+C`, "/DC=example/UID=a=b": "UID=a=b,DC=example",
	} {
		if name, err := importer.ParseSlash(text, true, false); err != nil || name.String() != want {
			t.Errorf("%q: got %v, %v; want %v", text, name, err, want)
		}
	}
}

func FuzzSubjects(f *testing.F) {
	for _, text := range []string{"CN=alice,O=Acme", "/O=Acme/CN=alice", `/CN=\x41`, `CN=a\,b+OU=c`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func() (dn.Name, error){
			func() (dn.Name, error) { return importer.ParseOpenSSL(text, true) },
			func() (dn.Name, error) { return importer.ParseSlash(text, true, false) },
			func() (dn.Name, error) { return importer.ParseSlash(text, false, true) },
		} {
			name, err := parse()
			if err != nil {
				continue
			}
			if again, err := dn.Parse(name.String()); err != nil || again != name {
				t.Errorf("%q: got %v, %v", text, name, err)
			}
		}
	})
}
