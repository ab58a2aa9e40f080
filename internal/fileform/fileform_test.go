package fileform_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	jks "github.com/pavlo-v-chernykh/keystore-go/v4"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/fileform"
	"github.com/mtlsguard/mtlsguard/internal/pemfile"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/testpki"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/outbound/keystore"
	"github.com/mtlsguard/mtlsguard/trust"
)

// password is that of every encrypted file: the shell functions below give it to openssl and
// keytool, which would ask for it.
const password = "secret"

const shell = `
set -e -o pipefail
openssl() {
	case "$1" in
	pkey|pkcs12) p="$1"; shift; command openssl "$p" -passin pass:secret "$@";;
	*) command openssl "$@";;
	esac
}
keytool() {
	quick="-J-XX:TieredStopAtLevel=1 -J-XX:+UseSerialGC" # half the processor time of a short run
	case "$1" in
	-list) command keytool $quick -storepass secret "$@";;
	*) command keytool $quick -srcstorepass secret -deststorepass secret -noprompt "$@";;
	esac
}
`

// sh runs a command in a folder.
func sh(tb testing.TB, dir, command string) {
	tb.Helper()
	cmd := exec.Command("bash", "-c", shell+command)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", command, err, out)
	}
}

func utf16Of(text []byte, bom bool) []byte {
	var out []byte
	if bom {
		out = []byte{0xff, 0xfe}
	}
	for _, c := range utf16.Encode([]rune(string(text))) {
		out = append(out, byte(c), byte(c>>8))
	}
	return out
}

func block(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}

// base64Of returns base64 as openssl writes it, or in one line.
func base64Of(der []byte, lines bool) []byte {
	if !lines {
		return []byte(base64.StdEncoding.EncodeToString(der))
	}
	text := string(block("X", der))
	return []byte(strings.Join(strings.Split(text, "\n")[1:strings.Count(text, "\n")-1], "\r\n"))
}

// load reads a file as a loader does, and returns how much it holds.
func load(name string, want fileform.Want) (count int, err error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, err
	}
	switch want {
	case fileform.Certificates:
		all, err := trust.ReadCertificates(name, data)
		return len(all), err
	case fileform.CRLs:
		all, err := trustaccess.ReadCRLs(name, data)
		return len(all), err
	case fileform.Credential:
		keys, err := keystore.NewFiles(keystore.FilesConfig{Entries: []keystore.Entry{{Alias: "a", File: name, Entry: entryOf(name), Password: func() (string, error) { return password, nil }}}})
		if err != nil {
			return 0, err
		}
		return len(keys.Aliases()), nil
	}
	if e := fileform.Explain(name, data, want); e != nil {
		return 0, e
	}
	err = pemfile.Each(name, data, func(b pemfile.Block) error {
		if want == fileform.Chain && b.Label == "CERTIFICATE" {
			count++
			_, err := x509.ParseCertificate(b.Bytes)
			return err
		}
		key, err := fileform.ParseKey(b.Label, b.Headers, b.Bytes)
		if want == fileform.Key && key != nil {
			count++
		}
		return err
	})
	return count, err
}

func entryOf(name string) string {
	if strings.HasSuffix(name, ".jks") {
		return "b"
	}
	return ""
}

// Each file is not what its loader reads. The error names its form. The command of the hint converts
// it, and the result loads and is complete.
func TestFilesInOtherFormsAreNamedAndConverted(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	dir := t.TempDir()
	ca, other := testpki.NewCA("CA"), testpki.NewCA("Other CA")
	sub := ca.SubCA("Sub")
	alice := sub.Leaf("alice")
	put := func(name string, data []byte) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	put("two.pem", append(ca.CertPEM(), other.CertPEM()...))
	put("alice.pem", alice.CertPEM())
	put("KEY.pem", alice.KeyPEM())
	put("all.pem", append(alice.CertPEM(), alice.KeyPEM()...))
	lists := [][]byte{ca.CRL(1, []*big.Int{big.NewInt(7)}).Raw, other.CRL(1, nil).Raw}
	put("crls.pem", append(block("X509 CRL", lists[0]), block("X509 CRL", lists[1])...))
	sh(t, dir, `
openssl crl2pkcs7 -nocrl -certfile two.pem -out two.p7
openssl crl2pkcs7 -nocrl -certfile two.pem -outform DER -out two.p7b
sed 's/PKCS7/CERTIFICATE/' two.p7 > labelled.pem
sed 's/PKCS7/CMS/' two.p7 > cms.pem
openssl crl2pkcs7 -nocrl -certfile alice.pem -out alice.p7
openssl crl2pkcs7 -in crls.pem -outform DER -out crls.p7
openssl x509 -in two.pem -trustout -addtrust clientAuth -out t.pem
{ cat two.pem; openssl x509 -in two.pem -trustout -addtrust clientAuth; } > trusted.pem
{ openssl x509 -in alice.pem -trustout; cat KEY.pem; } > trusted-key.pem
sed 's/ CERTIFICATE/ X509 CERTIFICATE/' two.pem > old.pem
openssl pkcs12 -export -nokeys -in two.pem -out two.p12 -passout pass:secret
openssl pkcs12 -export -in all.pem -out alice.p12 -passout pass:secret
openssl pkcs12 -export -in all.pem -nomac -out nomac.p12 -passout pass:secret
openssl pkcs12 -export -in all.pem -macalg sha384 -out sha384.p12 -passout pass:secret
openssl pkcs8 -topk8 -in KEY.pem -out pkcs8.pem -passout pass:secret
openssl pkcs8 -topk8 -in KEY.pem -outform DER -out pkcs8.der -passout pass:secret
openssl pkey -in KEY.pem -outform DER -out key.der
openssl ec -in KEY.pem -aes128 -passout pass:secret -out sec1.pem
openssl ec -in KEY.pem -param_enc explicit -out explicit.pem
openssl pkey -in KEY.pem -ec_param_enc explicit -out explicit8.pem
openssl pkey -in explicit8.pem -outform DER -out explicit.der
openssl genrsa -traditional -aes128 -passout pass:secret -out rsa.pem 2048
openssl genpkey -algorithm ed448 -out ed448.pem
openssl req -new -key KEY.pem -subj /CN=alice -out alice.csr
openssl pkey -in KEY.pem -pubout -out public.pem
cat alice.pem pkcs8.pem > locked.pem
cat alice.pem explicit.pem > locked-explicit.pem
`)
	file := func(name string) []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	two, key, all := file("two.pem"), alice.KeyPEM(), file("all.pem")
	ber, err := pkcs12.Modern.Encode(alice.Key, alice.Cert, alice.Chain, password)
	if err != nil {
		t.Fatal(err)
	}
	ber = append(append([]byte{0x30, 0x80}, ber[4:]...), 0, 0)
	for _, row := range []struct {
		name  string
		want  fileform.Want
		data  []byte
		is    string // the error has it
		count int    // of what the converted file has; 0: no command, but a hint
	}{
		{"PKCS#7", fileform.Certificates, file("two.p7"), "a PKCS#7 bundle of 2 certificates", 2},
		{"PKCS#7 in DER", fileform.Certificates, file("two.p7b"), "a PKCS#7 bundle of 2 certificates in DER", 2},
		{"PKCS#7 with the label CERTIFICATE", fileform.Certificates, file("labelled.pem"), "PKCS#7", 2},
		{"PKCS#7 with the label CMS", fileform.Certificates, file("cms.pem"), "a PKCS#7 bundle of 2 certificates", 2},
		{"PKCS#7 after a certificate", fileform.Certificates, append(bytes.Clone(two), file("alice.p7")...), "PKCS#7", 4},
		{"PKCS#7 in base64", fileform.Certificates, base64Of(file("two.p7b"), true), "base64 without the lines of PEM", 2},
		{"PKCS#7 as a chain", fileform.Chain, file("alice.p7"), "a PKCS#7 bundle of 2 certificates", 2},
		{"PKCS#7 as a credential", fileform.Credential, file("alice.p7"), "a PKCS#7 bundle of 2 certificates", 1},
		{"PKCS#7 as a key", fileform.Key, file("alice.p7"), "a PKCS#7 bundle", 0},
		{"PKCS#7 of CRLs", fileform.CRLs, file("crls.p7"), "a PKCS#7 bundle of a CRL in DER", 1},
		{"PKCS#7 without CRLs", fileform.CRLs, file("two.p7b"), "a PKCS#7 bundle of 2 certificates in DER", 0},
		{"DER", fileform.Certificates, ca.Cert.Raw, "a certificate in DER", 1},
		{"two in DER", fileform.Certificates, append(bytes.Clone(ca.Cert.Raw), other.Cert.Raw...), "2 certificates in DER", 2},
		{"DER as a credential", fileform.Credential, alice.Cert.Raw, "a certificate in DER", 1},
		{"DER as a key", fileform.Key, alice.Cert.Raw, "a certificate in DER", 0},
		{"base64", fileform.Certificates, base64Of(ca.Cert.Raw, true), "base64", 1},
		{"base64 in one line", fileform.Certificates, base64Of(ca.Cert.Raw, false), "base64", 1},
		{"TRUSTED CERTIFICATE", fileform.Certificates, file("t.pem"), "TRUSTED CERTIFICATE", 1},
		{"a bundle with a TRUSTED CERTIFICATE", fileform.Certificates, file("trusted.pem"), "TRUSTED CERTIFICATE", 3},
		{"TRUSTED CERTIFICATE with a key", fileform.Credential, file("trusted-key.pem"), "TRUSTED CERTIFICATE", 1},
		{"X509 CERTIFICATE", fileform.Certificates, file("old.pem"), "X509 CERTIFICATE", 2},
		{"X509 CERTIFICATE as a chain", fileform.Chain, file("old.pem"), "X509 CERTIFICATE", 2},
		{"UTF-16", fileform.Certificates, utf16Of(two, true), "UTF-16", 2},
		{"UTF-16 without a mark", fileform.Certificates, utf16Of(two, false), "UTF-16", 2},
		{"a byte order mark", fileform.Certificates, append([]byte("\xef\xbb\xbf"), two...), "byte order mark", 2},
		{"PKCS#12", fileform.Certificates, file("two.p12"), "a PKCS#12 file", 2},
		{"PKCS#12 as a chain", fileform.Chain, file("alice.p12"), "a PKCS#12 file", 2},
		{"a key", fileform.Certificates, key, "a private key", 0},
		{"a request", fileform.Certificates, file("alice.csr"), "a certificate request (BEGIN CERTIFICATE REQUEST)", 0},
		{"CRLs", fileform.Certificates, file("crls.pem"), "2 CRLs", 0},
		{"HTML", fileform.Certificates, []byte("<!DOCTYPE html><html></html>"), "HTML", 0},
		{"text among certificates", fileform.Certificates, append([]byte("# Root\n"), two...), "text that is not", 2},
		{"a key among certificates", fileform.Certificates, append(bytes.Clone(two), key...), "PRIVATE KEY", 2},

		{"certificates", fileform.CRLs, two, "2 certificates (BEGIN CERTIFICATE), not CRLs", 0},
		{"CRLs in UTF-16", fileform.CRLs, utf16Of(file("crls.pem"), true), "UTF-16", 2},
		{"CRLs in DER", fileform.CRLs, append(bytes.Clone(lists[0]), lists[1]...), "2 CRLs in DER", 2},
		{"a CRL in base64", fileform.CRLs, base64Of(lists[0], true), "base64", 1},
		{"text among CRLs", fileform.CRLs, append([]byte("# CRL\n"), file("crls.pem")...), "text that is not", 2},

		{"an encrypted key", fileform.Key, file("pkcs8.pem"), "an encrypted private key", 1},
		{"an encrypted key in DER", fileform.Key, file("pkcs8.der"), "an encrypted private key in DER", 1},
		{"an encrypted EC key", fileform.Key, file("sec1.pem"), "an encrypted private key", 1},
		{"an encrypted RSA key", fileform.Key, file("rsa.pem"), "an encrypted private key", 1},
		{"a key in DER", fileform.Key, file("key.der"), "a private key in DER", 1},
		{"a key in base64", fileform.Key, base64Of(file("key.der"), true), "base64", 1},
		{"a key in UTF-16", fileform.Key, utf16Of(key, true), "UTF-16", 1},
		{"a key with a byte order mark", fileform.Key, append([]byte("\xef\xbb\xbf"), key...), "byte order mark", 1},
		{"explicit parameters", fileform.Key, file("explicit.pem"), "explicit curve parameters", 1},
		{"explicit parameters, PKCS#8", fileform.Key, file("explicit8.pem"), "explicit curve parameters", 1},
		{"explicit parameters, DER", fileform.Key, file("explicit.der"), "explicit curve parameters", 1},
		{"Ed448", fileform.Key, file("ed448.pem"), "Ed448", 0},
		{"PKCS#12 as a key", fileform.Key, file("alice.p12"), "a PKCS#12 file", 1},
		{"a certificate as a key", fileform.Key, alice.CertPEM(), "2 certificates (BEGIN CERTIFICATE), not a private key", 0},
		{"a public key", fileform.Key, file("public.pem"), "a public key", 0},

		{"a credential in UTF-16", fileform.Credential, utf16Of(all, true), "UTF-16", 1},
		{"a credential with an encrypted key", fileform.Credential, file("locked.pem"), "an encrypted private key", 1},
		{"a credential with explicit parameters", fileform.Credential, file("locked-explicit.pem"), "explicit curve parameters", 1},
		{"PKCS#12 without a MAC", fileform.Credential, file("nomac.p12"), "a PKCS#12 file without a MAC", 1},
		{"PKCS#12 with SHA-384", fileform.Credential, file("sha384.p12"), "a PKCS#12 file with a MAC that is not supported", 1},
		{"PKCS#12 in BER", fileform.Credential, ber, "a PKCS#12 file in BER", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			name := put(strings.Map(func(r rune) rune { // a name that the shell must not split
				if r == '/' || r == ',' {
					return '_'
				}
				return r
			}, row.name)+".x", row.data)
			_, err := load(name, row.want)
			wantConverted(t, dir, name, row.want, err, row.is, row.count)
		})
	}
}

// wantConverted checks an error, runs the command of its hint, and loads what it writes.
func wantConverted(t *testing.T, dir, name string, want fileform.Want, err error, is string, count int) {
	t.Helper()
	problems := configerror.All(err)
	if len(problems) != 1 || !strings.Contains(problems[0].What, is) || problems[0].Hint == "" || problems[0].File != name {
		t.Fatalf("%v, want %q with a hint", err, is)
	}
	_, command, ok := strings.Cut(problems[0].Hint, ": ")
	if !ok || count == 0 {
		if count != 0 || strings.Contains(problems[0].Hint, " > ") {
			t.Errorf("the hint is %q", problems[0].Hint)
		}
		return
	}
	t.Log(problems[0].What, "|", problems[0].Hint)
	sh(t, dir, command)
	made, err := filepath.Glob(strings.TrimSuffix(name, ".x") + ".new.*")
	if err != nil || len(made) != 1 {
		t.Fatalf("got %q, %v", made, err)
	}
	if got, err := load(made[0], want); got != count || err != nil {
		text, _ := os.ReadFile(made[0])
		t.Errorf("%d, want %d: %v\n%s", got, count, err, text)
	}
	if info, err := os.Stat(made[0]); err != nil || want != fileform.Certificates && want != fileform.Chain && want != fileform.CRLs && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others can read the key: %v, %v", info.Mode(), err)
	}
}

// OpenSSH writes a format of its own, which openssl does not read.
func TestKeysOfOpenSSHAreConverted(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	testkit.Program(t, "ssh-keygen", "openssh-client")
	for _, kind := range []string{"ed25519", "ecdsa", "rsa"} {
		dir := t.TempDir()
		sh(t, dir, "ssh-keygen -q -t "+kind+" -N '' -f key.x")
		name := filepath.Join(dir, "key.x")
		_, err := load(name, fileform.Key)
		wantConverted(t, dir, name, fileform.Key, err, "OpenSSH", 1)
		public, _ := os.ReadFile(name + ".pub")
		if e := fileform.Explain(name, public, fileform.Key); e == nil || !strings.Contains(e.What, "OpenSSH") {
			t.Errorf("%s: got %v, want OpenSSH", kind, e)
		}
		if kind != "ed25519" {
			continue
		}
		data, _ := os.ReadFile(filepath.Join(dir, "key.new.pem"))
		b, _ := pem.Decode(data)
		key, err := x509.ParsePKCS8PrivateKey(b.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(public))
		blob, _ := base64.StdEncoding.DecodeString(fields[1])
		if !bytes.HasSuffix(blob, key.(ed25519.PrivateKey).Public().(ed25519.PublicKey)) {
			t.Error("it is another key")
		}
	}
}

// Java keystores are converted with keytool.
func TestJavaKeystoresAreConverted(t *testing.T) {
	t.Parallel()
	testkit.Program(t, "openssl", "openssl")
	testkit.Program(t, "keytool", "default-jre-headless")
	dir := t.TempDir()
	ca, other := testpki.NewCA("CA"), testpki.NewCA("Other CA")
	store := func(name string, keys, trusted map[string]*testpki.Pair) {
		t.Helper()
		store := jks.New()
		for alias, p := range keys {
			der, err := x509.MarshalPKCS8PrivateKey(p.Key)
			if err != nil {
				t.Fatal(err)
			}
			entry := jks.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: der, CertificateChain: []jks.Certificate{{Type: "X.509", Content: p.Cert.Raw}}}
			if err := store.SetPrivateKeyEntry(alias, entry, []byte(password)); err != nil {
				t.Fatal(err)
			}
		}
		for alias, p := range trusted {
			entry := jks.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: jks.Certificate{Type: "X.509", Content: p.Cert.Raw}}
			if err := store.SetTrustedCertificateEntry(alias, entry); err != nil {
				t.Fatal(err)
			}
		}
		var data bytes.Buffer
		if err := store.Store(&data, []byte(password)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b := ca.Leaf("a"), ca.Leaf("b")
	store("trust-JKS.x", nil, map[string]*testpki.Pair{"ca": ca, "other": other})
	store("two.jks", map[string]*testpki.Pair{"a": a, "b": b}, nil)
	store("one.jks", map[string]*testpki.Pair{"b": b}, nil)
	sh(t, dir, `
keytool -importkeystore -srckeystore trust-JKS.x -destkeystore trust-JCEKS.x -deststoretype JCEKS
keytool -importkeystore -srckeystore two.jks -destkeystore keys.x -deststoretype PKCS12
keytool -importkeystore -srckeystore one.jks -destkeystore keys-jceks.x -deststoretype JCEKS
`)
	data, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca.Cert, other.Cert}, password)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "trust-PKCS12.x"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		file, is string
		want     fileform.Want
		count    int
	}{
		{"trust-JKS.x", "a Java keystore (JKS)", fileform.Certificates, 2},
		{"trust-JCEKS.x", "a Java keystore (JCEKS)", fileform.Certificates, 2},
		{"trust-PKCS12.x", "a PKCS#12 file", fileform.Certificates, 2},
		{"keys.x", "several keys", fileform.Credential, 1},
		{"keys-jceks.x", "a Java keystore (JCEKS)", fileform.Credential, 1},
	} {
		name := filepath.Join(dir, row.file)
		_, err := load(name, row.want)
		wantConverted(t, dir, name, row.want, err, row.is, row.count)
	}
}

// The form of a file depends on its content alone, and no content causes a panic or takes long.
func FuzzExplain(f *testing.F) {
	ca := testpki.NewCA("CA")
	for _, data := range [][]byte{ca.CertPEM(), ca.Cert.Raw, utf16Of(ca.CertPEM(), true), base64Of(ca.Cert.Raw, true), block("X509 CERTIFICATE", ca.Cert.Raw), ca.KeyPEM(), block("OPENSSH PRIVATE KEY", []byte("openssh-key-v1\x00"))} {
		f.Add(data, uint8(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, want uint8) {
		w := fileform.Want(want % 6)
		if e := fileform.Explain("file", data, w); e != nil && (e.What == "" || e.Hint == "" || e.File != "file") {
			t.Errorf("got %+v, want an error of the file with a hint", e)
		}
	})
}
