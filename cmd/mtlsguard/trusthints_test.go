package main

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
)

func shell(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-e", "-c", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

func trustSite(t *testing.T, trust string) {
	t.Helper()
	testkit.Program(t, "openssl", "openssl")
	dir := t.TempDir()
	if err := writeSite(dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	text := read(t, "mtlsguard.yaml")
	const old = "trust: {anchors: [client-ca.pem]}"
	if !strings.Contains(text, old) {
		t.Fatal("the configuration has another trust")
	}
	put(t, "mtlsguard.yaml", strings.Replace(text, old, trust, 1))
}

// explain names the file with a CA or CRL like the one that is needed, and why it does not count.
func TestExplainNamesTheFileThatDoesNotCount(t *testing.T) {
	const makeClient = `printf 'extendedKeyUsage=clientAuth\n' > ext
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj /CN=alice -out csr
`
	const ca = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj '/O=Acme/CN=Twin CA' "
	for _, row := range []struct{ name, trust, script, reason, want string }{
		{"another key", "trust: {anchors: [both.pem]}", makeClient + ca + "-keyout a-key.pem -out a.pem\n" + ca + "-keyout b-key.pem -out b.pem\n" +
			"cat client-ca.pem a.pem > both.pem\nopenssl x509 -req -in csr -CA b.pem -CAkey b-key.pem -set_serial 9 -days 9 -extfile ext -out x.pem",
			"unknown-authority", "both.pem:LINE: the anchor O=Acme,CN=Twin CA has the issuer's name, but another key"},
		{"another string type", "trust: {anchors: [both.pem]}", makeClient + ca + "-keyout a-key.pem -out a.pem\n" +
			"printf '[req]\\nstring_mask=MASK:0x2\\ndistinguished_name=d\\n[d]\\n' > printable.cnf\n" + // PrintableString
			"openssl req -x509 -config printable.cnf -key a-key.pem -days 9 -subj '/O=Acme/CN=Twin CA' -addext basicConstraints=critical,CA:TRUE -out b.pem\n" +
			"cat client-ca.pem b.pem > both.pem\nopenssl x509 -req -in csr -CA a.pem -CAkey a-key.pem -set_serial 9 -days 9 -extfile ext -out x.pem",
			"unknown-authority", "both.pem:LINE: the anchor O=Acme,CN=Twin CA has the same name in another encoding"},
		{"an algorithm that is not supported", "trust: {anchors: [a.pem]}", makeClient + "openssl req -x509 -newkey ed448 -nodes -days 9 -subj /CN=x -keyout a-key.pem -out a.pem\n" +
			"openssl x509 -req -in csr -CA a.pem -CAkey a-key.pem -set_serial 9 -days 9 -extfile ext -out x.pem",
			"weak-key", "these keys are supported: RSA, Ed25519, or EC on P-256"},
		{"a CRL that does not count", "trust: {anchors: [client-ca.pem], crls: [client-ca-stale.crl]}", "cp alice.pem x.pem", "revocation-unknown", "client-ca-stale.crl:1, and does not count: the CRL of issuer"},
	} {
		t.Run(row.name, func(t *testing.T) {
			trustSite(t, row.trust)
			shell(t, row.script)
			x := explainRequest(t, strings.Fields("--cert x.pem --port internal GET /whoami"))
			if string(x.Reason) != row.reason {
				t.Fatalf("got %s: %s, want %s", x.Reason, x.Detail, row.reason)
			}
			want := row.want
			if before, after, ok := strings.Cut(want, "LINE"); ok {
				want = before + lineOfSecond(read(t, "both.pem")) + after
			}
			found := ""
			for _, h := range x.Hints {
				found += h.Text + "\n"
			}
			if !strings.Contains(strings.NewReplacer("CN=Twin CA,O=Acme", "O=Acme,CN=Twin CA").Replace(found), want) {
				t.Errorf("the hints are %q, want %q", found, want)
			}
		})
	}
}

// lineOfSecond returns the line of the second certificate of a file.
func lineOfSecond(text string) string {
	first := strings.Index(text, "-----END")
	at := first + strings.Index(text[first:], "-----BEGIN")
	return strconv.Itoa(1 + strings.Count(text[:at], "\n"))
}

// The hint for a self-signed certificate that is a CA makes one of the same key, subject and
// alternative names that is accepted.
func TestHintForASelfSignedCAMakesALeaf(t *testing.T) {
	trustSite(t, "trust: {anchors: [client-ca.pem, NEW.pem]}")
	shell(t, "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj '/O=Acme/CN=alice' -addext subjectAltName=DNS:alice.acme.example,email:alice@acme.example,URI:spiffe://acme/alice -keyout KEY.pem -out self.pem && cp self.pem NEW.pem")
	x := explainRequest(t, strings.Fields("--cert self.pem --port internal GET /whoami"))
	if x.Reason != "not-a-leaf" || !strings.Contains(x.Detail, "CA:FALSE") || len(x.Hints) == 0 || !strings.Contains(x.Hints[0].Text, "CA:FALSE") {
		t.Fatalf("got %s: %s %+v, want not-a-leaf with CA:FALSE", x.Reason, x.Detail, x.Hints)
	}
	shell(t, x.Hints[0].Command)
	shell(t, `for f in self NEW; do openssl x509 -in $f.pem -noout -subject -pubkey -ext subjectAltName > $f.txt; done; cmp self.txt NEW.txt`)
	if x := explainRequest(t, strings.Fields("--cert NEW.pem --port internal GET /whoami")); x.Reason != "unmapped" {
		t.Errorf("afterwards: %s %s", x.Reason, x.Detail)
	}
}

// inspect says what would happen to the certificate if it were presented.
func TestInspectAgreesAboutUnsupportedAlgorithms(t *testing.T) {
	trustSite(t, "trust: {anchors: [client-ca.pem]}")
	put(t, "ca-key.pem", string(testkit.RSAKeyPEM(t, 2048)))
	shell(t, `openssl req -x509 -key ca-key.pem -subj /CN=x -out ca.pem
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj /CN=alice -out csr
openssl genpkey -algorithm ed448 -out e.pem
openssl req -new -key e.pem -subj /CN=alice -out ecsr
printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=clientAuth\n' > ext
openssl x509 -req -in csr -CA ca.pem -CAkey ca-key.pem -set_serial 7 -sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:20 -days 9 -extfile ext -out pss.pem
openssl x509 -req -in ecsr -CA ca.pem -CAkey ca-key.pem -set_serial 8 -days 9 -extfile ext -out ed448.pem`)
	for _, row := range []struct {
		file string
		want []string
	}{
		{"pss.pem", []string{"weak-key", "not supported: RSA-PSS with SHA-256 and a salt of 20 bytes (1.2.840.113549.1.1.10)"}},
		{"ed448.pem", []string{"a leaf, Ed448 (1.3.101.113)", "weak-key", "unsupported type of public key: Ed448 (1.3.101.113)"}},
	} {
		var out, errs strings.Builder
		if code := run(t.Context(), []string{"inspect", row.file}, strings.NewReader(""), &out, &errs); code != exitNo {
			t.Errorf("%s: exit status %d: %s", row.file, code, errs.String())
		}
		for _, want := range row.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", row.file, want, out.String())
			}
		}
	}
}
