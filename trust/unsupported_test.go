package trust_test

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/testkit"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// openssl runs a script in a new folder, in which rsa.pem is an RSA key and dsa.pem has the
// parameters of DSA keys: making these takes long. It returns a function that reads a file from
// there.
func openssl(t testing.TB, script string) func(name string) []byte {
	t.Helper()
	testkit.Program(t, "openssl", "openssl")
	dir := t.TempDir()
	parameters, err := os.ReadFile("testdata/dsa1024.params.pem")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"rsa.pem": testkit.RSAKeyPEM(t, 2048), "dsa.pem": parameters} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("sh", "-e", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
}

func readAll(t testing.TB, name string, data []byte) []*x509.Certificate {
	t.Helper()
	list, err := trust.ReadCertificates(name, data)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// issueScript makes a CA ca.pem and a client certificate alice.pem under it. KEY and LEAF are
// commands that make their keys, SIGN are the options of its signature.
const issueScript = `
KEY ca-key.pem
openssl req -x509 -new -key ca-key.pem -days 9 -subj "/CN=Client CA" -addext keyUsage=critical,keyCertSign,cRLSign -out ca.pem
LEAF alice-key.pem
openssl req -new -key alice-key.pem -subj /CN=alice -out alice.csr
printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=clientAuth\n' > ext
openssl x509 -req -in alice.csr -CA ca.pem -CAkey ca-key.pem -set_serial 7 SIGN -days 9 -extfile ext -out alice.pem
`

// listScript makes a CRL ca.crl of that CA. LISTSIGN are the options of its signature.
const listScript = `
: > index.txt; echo 01 > crlnumber
printf '[ca]\ndefault_ca=l\n[l]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=9\n' > ca.cnf
openssl ca -config ca.cnf -cert ca.pem -keyfile ca-key.pem -gencrl LISTSIGN -out ca.crl
`

// keyCommands are the commands that make a key; the file's name follows.
var keyCommands = map[string]string{
	"P-256":   "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out",
	"Ed448":   "openssl genpkey -algorithm ED448 -out",
	"RSA":     "cp rsa.pem",
	"RSA-PSS": "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:1024 -out", // refused for its type
	"DSA":     "openssl genpkey -paramfile dsa.pem -out",
}

// issuing returns a script with keys of these types, and these options.
func issuing(script, key, leaf, sign, listSign string) string {
	return strings.NewReplacer("KEY", keyCommands[key], "LEAF", keyCommands[leaf], "LISTSIGN", listSign, "SIGN", sign).Replace(script)
}

const p256 = "P-256"

// A certificate whose signature or key crypto/x509 does not support is refused for that, and
// not because of an issuer that is unknown or has another key.
func TestUnsupportedAlgorithmIsNamed(t *testing.T) {
	t.Parallel()
	pss := func(salt string) string {
		return "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:" + salt
	}
	for _, row := range []struct {
		name, key, leaf, sign string
		want                  string // in the refusal; "" for a trusted certificate
	}{
		{"RSA-PSS, salt as long as the hash", "RSA", p256, pss("digest"), ""},
		{"RSA-PSS, another salt", "RSA", p256, pss("20"), `"CN=alice" is signed with an algorithm that is not supported: RSA-PSS with SHA-256 and a salt of 20 bytes (1.2.840.113549.1.1.10)`},
		{"RSA-PSS, the largest salt", "RSA", p256, pss("max"), "a salt of 222 bytes"},
		{"RSA-PSS, another hash for MGF1", "RSA", p256, pss("32") + " -sigopt rsa_mgf1_md:sha1", "RSA-PSS with SHA-256, MGF1 with SHA-1 and a salt of 32 bytes (1.2.840.113549.1.1.10)"},
		{"SHA-3, RSA", "RSA", p256, "-sha3-256", "SHA3-256-RSA (2.16.840.1.101.3.4.3.14)"},
		{"SHA-3, ECDSA", p256, p256, "-sha3-384", "ECDSA-SHA3-384 (2.16.840.1.101.3.4.3.11)"},
		{"SHA-224", "RSA", p256, "-sha224", "SHA224-RSA (1.2.840.113549.1.1.14)"},
		{"Ed448", "Ed448", p256, "", "Ed448 (1.3.101.113)"},
		{"a key for RSA-PSS alone", "RSA-PSS", p256, pss("32"), `"CN=Client CA" has a key that is not supported: RSA-PSS (1.2.840.113549.1.1.10)`},
		{"a client's key for RSA-PSS alone", "RSA", "RSA-PSS", "", "an unsupported type of public key: RSA-PSS (1.2.840.113549.1.1.10)"},
		{"a client's key on Ed448", "RSA", "Ed448", "", "an unsupported type of public key: Ed448 (1.3.101.113)"},
		{"a client's DSA key", "RSA", "DSA", "", "an unsupported type of public key: DSA (1.2.840.10040.4.1)"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			read := openssl(t, issuing(issueScript, row.key, row.leaf, row.sign, ""))
			v := trusting(t, readAll(t, "ca.pem", read("ca.pem"))...)
			_, err := v.Verify(t.Context(), readAll(t, "alice.pem", read("alice.pem")))
			switch got := reasonOf(t, err); {
			case row.want == "" && got != "":
				t.Errorf("refused: %v", err)
			case row.want != "" && (got != reason.WeakKey || !strings.Contains(err.Error(), row.want)):
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

// The intermediate's signature is the one that is not supported.
func TestUnsupportedSignatureOfAnIntermediateIsNamed(t *testing.T) {
	t.Parallel()
	read := openssl(t, `
cp rsa.pem ca-key.pem
openssl req -x509 -new -key ca-key.pem -days 9 -subj "/CN=Root" -out ca.pem
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out sub-key.pem
openssl req -new -key sub-key.pem -subj /CN=Sub -out sub.csr
printf 'basicConstraints=critical,CA:TRUE\n' > ext
openssl x509 -req -in sub.csr -CA ca.pem -CAkey ca-key.pem -set_serial 7 -sha3-256 -days 9 -extfile ext -out sub.pem
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out alice-key.pem
openssl req -new -key alice-key.pem -subj /CN=alice -out alice.csr
printf 'extendedKeyUsage=clientAuth\n' > ext
openssl x509 -req -in alice.csr -CA sub.pem -CAkey sub-key.pem -set_serial 8 -days 9 -extfile ext -out alice.pem
cat alice.pem sub.pem > chain.pem`)
	v := trusting(t, readAll(t, "ca.pem", read("ca.pem"))...)
	chain := readAll(t, "chain.pem", read("chain.pem"))
	const want = `"CN=Sub" is signed with an algorithm that is not supported: SHA3-256-RSA (2.16.840.1.101.3.4.3.14)`
	if _, err := v.Verify(t.Context(), chain); reasonOf(t, err) != reason.WeakKey || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
	// Without the intermediate nothing leads to the anchor.
	if _, err := v.Verify(t.Context(), chain[:1]); reasonOf(t, err) != reason.UnknownAuthority {
		t.Errorf("without the intermediate: %v", err)
	}
}

// A key on a curve that is not supported is named with its curve, wherever the file stands.
func TestUnsupportedCurveIsNamed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ options, want string }{
		{"-pkeyopt ec_paramgen_curve:brainpoolP256r1", "brainpoolP256r1 (1.3.36.3.3.2.8.1.1.7)"},
		{"-pkeyopt ec_paramgen_curve:SM2", "SM2 (1.2.156.10197.1.301)"},
		{"-pkeyopt ec_paramgen_curve:secp256k1", "secp256k1 (1.3.132.0.10)"},
		{"-pkeyopt ec_paramgen_curve:sect283k1", "1.3.132.0.16"},
		{"-pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit", "explicit curve parameters instead of the name of a curve"},
	} {
		read := openssl(t, "openssl genpkey -algorithm EC "+row.options+" -out key.pem; openssl pkey -in key.pem -pubout -out pub.pem\n"+
			"openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca-key.pem -subj /CN=x -out csr.pem\n"+
			"openssl x509 -req -in csr.pem -signkey ca-key.pem -force_pubkey pub.pem -days 9 -out cert.pem")
		_, err := trust.ReadCertificates("cert.pem", read("cert.pem"))
		all := configerror.All(err)
		if len(all) != 1 || all[0].What != "the certificate cannot be read: its key is on a curve that is not supported: "+row.want || all[0].Line != 1 || !strings.Contains(all[0].Hint, "P-256") {
			t.Errorf("%s: got %v, want the curve %s", row.options, err, row.want)
		}
	}
}

// A CRL that is signed with an algorithm that is not supported is rejected for that, and not
// because its signature were another key's.
func TestUnsupportedSignatureOfACRLIsNamed(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ key, options, want string }{
		{"RSA", "-md sha3-256", "SHA3-256-RSA (2.16.840.1.101.3.4.3.14)"},
		{"RSA", "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:20", "RSA-PSS with SHA-256 and a salt of 20 bytes (1.2.840.113549.1.1.10)"},
		{"Ed448", "-md null", "Ed448 (1.3.101.113)"},
	} {
		read := openssl(t, issuing(issueScript+listScript, row.key, p256, "", row.options))
		lists, err := trustaccess.ReadCRLs("ca.crl", read("ca.crl"))
		if err != nil {
			t.Fatal(err)
		}
		ca := readAll(t, "ca.pem", read("ca.pem"))
		_, err = trust.New(trust.Config{Anchors: ca, CRLs: []*x509.RevocationList{lists[0].List}})
		all := configerror.All(err)
		if len(all) != 1 || !strings.Contains(all[0].What, "the CRL is signed with an algorithm that is not supported: "+row.want) || all[0].Hint == "" {
			t.Errorf("%s: got %v, want the algorithm %s", row.options, err, row.want)
		}
	}
}
