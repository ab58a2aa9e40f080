package dn_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

// attributeTypes are the OIDs of attributes of a subject: those of X.520, of the COSINE
// pilot, of PKCS #9, of EV certificates and of Russian ones.
var attributeTypes = regexp.MustCompile(`^(2\.5\.4|0\.9\.2342\.19200300\.100\.1|1\.3\.6\.1\.4\.1\.311\.60\.2\.1|1\.2\.643\.3\.131\.1)\.\d+$|^1\.2\.840\.113549\.1\.9\.[1278]$|^1\.2\.643\.100\.[135]$`)

// run runs a program in a folder and returns its output.
func run(t *testing.T, folder, program string, args ...string) string {
	t.Helper()
	c := exec.Command(program, args...)
	c.Dir = folder
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return string(out)
}

// subjectOf returns the subject of a PEM certificate.
func subjectOf(t *testing.T, file string) dn.Name {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("got %s", data)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	n, err := dn.FromDER(c.RawSubject)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Every name of an attribute in openssl's table, short or long, loads as the type that
// openssl writes into a certificate, and so does openssl's own print of the subject.
func TestEveryAttributeNameOfOpenSSLIsRead(t *testing.T) {
	t.Parallel()
	openssl := testkit.Program(t, "openssl", "openssl")
	numeric := []string{"INN", "SNILS", "OGRN", "OGRNIP", "n3"}
	var short, long []string
	for line := range strings.Lines(run(t, ".", openssl, "list", "-objects")) {
		names, oid, _ := strings.Cut(strings.TrimSpace(line), " = ")
		all := []string{names}
		if l, number, ok := strings.Cut(oid, ", "); ok {
			all, oid = append(all, l), number
		}
		if !attributeTypes.MatchString(oid) {
			continue
		}
		if slices.Contains(numeric, names) { // openssl writes NumericString, which no mapping matches
			for _, name := range all {
				if _, err := dn.Parse(name + "=1"); err != nil {
					t.Error(err)
				}
			}
			continue
		}
		if names == "uid" { // RFC 4514 has UID for another type, in any case
			all = all[1:]
		}
		short, long = append(short, all[0]), append(long, all[len(all)-1])
	}
	if len(short) < 80 {
		t.Fatalf("openssl has %d names: %q", len(short), short)
	}
	folder := t.TempDir()
	run(t, folder, openssl, "ecparam", "-name", "prime256v1", "-genkey", "-out", "key.pem")
	for _, names := range [][]string{short, long} {
		for len(names) > 0 {
			part := names[:min(30, len(names))]
			names = names[len(part):]
			subject, text := "", ""
			for i, name := range part {
				value := "aa" // C takes two letters
				if name == "c3" || name == "countryCode3c" {
					value = "aaa"
				}
				subject += "/" + name + "=" + value
				if i > 0 {
					text = "," + text
				}
				text = name + "=" + value + text
			}
			run(t, folder, openssl, "req", "-x509", "-new", "-key", "key.pem", "-subj", subject, "-out", "cert.pem")
			want := subjectOf(t, filepath.Join(folder, "cert.pem"))
			got, err := dn.Parse(text)
			if err != nil || got != want {
				t.Errorf("%s: %v, %s\nwant %s", text, err, got, want)
			}
			if strings.Contains(subject, "/uniqueIdentifier=") {
				continue // printed as uid
			}
			printed := strings.TrimPrefix(strings.TrimSpace(run(t, folder, openssl, "x509", "-in", "cert.pem", "-noout", "-subject", "-nameopt", "RFC2253")), "subject=")
			if got, err := dn.Parse(printed); err != nil || got != want {
				t.Errorf("openssl prints %s: %v, %s\nwant %s", printed, err, got, want)
			}
		}
	}
}

func TestEveryAttributeNameOfKeytoolIsRead(t *testing.T) {
	t.Parallel()
	keytool := testkit.Program(t, "keytool", "default-jre-headless")
	folder := t.TempDir()
	const quick, serial = "-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC" // half the processor time of a short run
	const text = "CN=a, C=aa, L=b, S=c, O=d, OU=e, T=f, STREET=g, DC=h, UID=i, SURNAME=j, GIVENNAME=k, INITIALS=l, GENERATION=m, DNQ=n, SERIALNUMBER=o, EMAIL=p@q, IP=r, OID.2.5.4.97=s, oid.1.2.3.4=t"
	run(t, folder, keytool, quick, serial, "-genkeypair", "-alias", "a", "-keyalg", "EC", "-keystore", "a.p12", "-storepass", "changeit", "-dname", text)
	run(t, folder, keytool, quick, serial, "-exportcert", "-rfc", "-alias", "a", "-keystore", "a.p12", "-storepass", "changeit", "-file", "a.pem")
	want := subjectOf(t, filepath.Join(folder, "a.pem"))
	if got, err := dn.Parse(text); err != nil || got != want {
		t.Errorf("%v, %s\nwant %s", err, got, want)
	}
	for line := range strings.Lines(run(t, folder, keytool, quick, serial, "-printcert", "-file", "a.pem")) {
		if owner, ok := strings.CutPrefix(line, "Owner: "); ok {
			if got, err := dn.Parse(strings.TrimSpace(owner)); err != nil || got != want {
				t.Errorf("keytool prints %s: %v, %s\nwant %s", owner, err, got, want)
			}
			return
		}
	}
	t.Error("keytool prints no owner")
}

// The name of a directory's attribute is answered with its OID, which loads.
func TestUnknownAttributeNameIsAnsweredWithItsOID(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, oid string }{
		{"employeeNumber", "2.16.840.1.113730.3.1.3"}, {"sAMAccountName", "1.2.840.113556.1.4.221"}, {"DISPLAYNAME", "2.16.840.1.113730.3.1.241"},
	} {
		_, err := dn.Parse("CN=a," + row.name + "=b")
		if err == nil {
			t.Errorf("%s loads", row.name)
			continue
		}
		_, hint, _ := strings.Cut(err.Error(), "write its OID: ")
		if _, err := dn.Parse("CN=a," + hint + "=b"); hint != row.oid || err != nil {
			t.Errorf("%s: the hint %q: %v", row.name, hint, err)
		}
	}
	for _, name := range []string{"XX", "OID.", "OID.x", "OID.2.5.4.03", "\u212aeyword", "\u017fn"} {
		if _, err := dn.Parse(name + "=b"); err == nil || strings.Contains(err.Error(), "write its OID:") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A type has each name once, and String's name of it is read back.
func TestAttributeNamesAreReadBack(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"jurisdictionC=a", "mail=a", "OID.2.5.4.97=a", "dnq=a", "1.2.643.3.131.1.1=a", "OID.1.2.3=a"} {
		n, err := dn.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := dn.Parse(n.String()); err != nil || back != n {
			t.Errorf("%s: got %s, %v", text, n, err)
		}
	}
}
