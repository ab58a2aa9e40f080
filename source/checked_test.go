package source_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/source"
)

// made returns the file that a command writes to OUT.
func made(t *testing.T, command string) []byte {
	t.Helper()
	testkit.Program(t, "openssl", "openssl")
	pki, err := filepath.Abs("../testdata/pki")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	cmd := exec.CommandContext(t.Context(), "bash", "-c", command)
	cmd.Dir = pki
	cmd.Env = append(os.Environ(), "OUT="+out)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", command, err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A private key is refused by editors and nodes, in each form that openssl writes, and so is a keystore. Certificates and
// CRLs are not.
// Covers S7.
func TestPrivateKeyIsNoPartOfAGeneration(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ command, want string }{
		{"openssl pkey -in alice-key.pem -out $OUT", "holds a private key"},
		{"openssl pkey -in alice-key.pem -traditional -out $OUT", "holds a private key"},
		{"openssl pkey -in alice-key.pem -outform DER -out $OUT", "a private key in DER"},
		{"openssl pkey -in alice-key.pem -traditional -outform DER -out $OUT", "a private key in DER"},
		{"openssl genpkey -algorithm ed25519 -outform DER -out $OUT", "a private key in DER"},
		{"openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:1024 -outform DER -out $OUT", "a private key in DER"},
		{"openssl genrsa -traditional 1024 | openssl rsa -traditional -outform DER -out $OUT", "a private key in DER"},
		{"openssl pkcs8 -topk8 -in alice-key.pem -passout pass:secret -outform DER -out $OUT", "an encrypted private key in DER"},
		{"openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -in alice-key.pem -passout pass:secret -outform DER -out $OUT", "an encrypted private key in DER"},
		{"openssl pkcs12 -export -in alice.pem -inkey alice-key.pem -passout pass:secret -out $OUT", "a PKCS#12 file"},
		{"openssl pkcs12 -export -nokeys -in alice.pem -passout pass:secret -out $OUT", "a PKCS#12 file"},
		{`printf '\xfe\xed\xfe\xed\0\0\0\2\0\0\0\0' > $OUT`, "a Java keystore (JKS)"},
		{`printf '\xce\xce\xce\xce\0\0\0\2\0\0\0\0' > $OUT`, "a Java keystore (JCEKS)"},
		{"openssl pkcs8 -topk8 -in alice-key.pem -passout pass:secret -out $OUT", "holds a private key"},
		{"base64 alice-key.pem > $OUT", "a private key in base64"},
		{"(echo key; cat alice.pem alice-key.pem) | base64 -w 20 > $OUT", "a private key in base64"},
		{"cat alice.pem alice-key.pem | base64 -w 0 > $OUT", "a private key in base64"},
		{`printf '{"cert": "%s", "key": "%s"}' "$(base64 alice.pem | sed 's/$/\\n/' | tr -d '\n')" "$(base64 -w 40 alice-key.pem | sed 's/$/\\n/' | tr -d '\n')" > $OUT`, "a private key in base64"},
		{"openssl pkey -in alice-key.pem -outform DER | base64 > $OUT", "a private key in DER in base64"},
		{"openssl pkcs8 -topk8 -in alice-key.pem -passout pass:secret -outform DER | base64 -w 0 > $OUT", "an encrypted private key in DER in base64"},
		{"openssl pkcs12 -export -in alice.pem -inkey alice-key.pem -passout pass:secret | base64 > $OUT", "a PKCS#12 file in base64"},
		{"iconv -t UTF-16 alice-key.pem > $OUT", "a private key in UTF-16"},
		{"iconv -t UTF-16BE alice-key.pem > $OUT", "a private key in UTF-16"},
		{`printf '{"kty": "EC", "crv": "P-256", "x": "eA", "y": "eQ", "d": "ZA"}' > $OUT`, "a private JSON Web Key"},
		{`printf '{"keys":[{"d":"ZA","kty":"OKP"}]}' > $OUT`, "a private JSON Web Key"},
		{`printf '{"kty":"oct","k":"c2VjcmV0"}' > $OUT`, "a private JSON Web Key"},
		{`printf '{"key": "{\\"kty\\": \\"RSA\\", \\"d\\": \\"ZA\\"}"}' > $OUT`, "a private JSON Web Key"},
		{`printf 'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n' > $OUT`, "a private key of PuTTY"},
		{"ssh-keygen -q -t ed25519 -N '' -f $OUT", "holds a private key"},
		{"ssh-keygen -q -t ed25519 -N secret -f $OUT", "holds a private key"},
		{"ssh-keygen -q -t ed25519 -N '' -f $OUT && sed -i /-----/d $OUT", "a private key of OpenSSH"},
		{"ssh-keygen -q -t ed25519 -N '' -f $OUT && sed /-----/d $OUT | base64 -d > $OUT.der && mv $OUT.der $OUT", "a private key of OpenSSH"},
		{`printf -- '-----BEGIN USER NKEY SEED-----\nSUAM\n' > $OUT`, "a seed of NATS"},
		{`printf 'AGE-SECRET-KEY-1QQQQ\n' > $OUT`, "a private key of age"},
		{`printf '<RSAKeyValue><Modulus>eA</Modulus><InverseQ>eQ</InverseQ></RSAKeyValue>' > $OUT`, "a private key in XML"},
		{"base64 alice.pem > $OUT", ""},
		{"openssl x509 -in alice.pem -outform DER | base64 > $OUT", ""},
		{`printf '{"keys":[{"kty":"EC","crv":"P-256","x":"eA","y":"eQ","kid":"d"}]}' > $OUT`, ""},
		{"ssh-keygen -q -t ed25519 -N '' -f $OUT.key && mv $OUT.key.pub $OUT", ""},
		{"openssl x509 -in alice.pem -out $OUT", ""},
		{"openssl x509 -in alice.pem -outform DER -out $OUT", ""},
		{"openssl crl -in client-ca.crl -outform DER -out $OUT", ""},
		{"openssl x509 -in alice.pem -pubkey -noout | openssl pkey -pubin -outform DER -out $OUT", ""},
		{"openssl crl2pkcs7 -nocrl -certfile alice.pem -outform DER -out $OUT", ""},
		{"openssl req -new -key alice-key.pem -subj /CN=alice -outform DER -out $OUT", ""},
	} {
		t.Run(x.command, func(t *testing.T) {
			t.Parallel()
			data := made(t, x.command)
			_, err := source.Next(nil, source.Manifest{Fleet: "orders", Author: "anna"}, fstest.MapFS{"shared": {Data: data}})
			check(t, "the editor", err, x.want)
			manifest := fmt.Sprintf(`{"format": 1, "fleet": "orders", "number": 1, "at": "2026-11-29T12:00:00Z", "author": "eve", "files": [{"name": "shared", "size": %d, "sha256": "%s"}]}`, len(data), source.DigestOf(data))
			for name, wrap := range map[string]func(io.Reader) io.Reader{"whole": func(r io.Reader) io.Reader { return r }, "in single bytes": iotest.OneByteReader} {
				g, err := source.New([]byte(manifest), nil, func(context.Context, source.File) (io.ReadCloser, error) {
					return io.NopCloser(wrap(bytes.NewReader(data))), nil
				})
				if err != nil {
					t.Fatal(err)
				}
				_, err = g.Fetch(t.Context())
				check(t, "a node, "+name, err, x.want)
			}
		})
	}
}

// check checks the error of a file; want is "" for none.
func check(t *testing.T, reader string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (!errors.Is(err, source.ErrPrivateKey) || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: %v, want %q", reader, err, want)
	}
}
