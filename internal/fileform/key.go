package fileform

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"strings"
)

// Errors of a private key. They quote no content, which could be secret.
var (
	ErrEncrypted = errors.New("the key is encrypted")
	ErrOpenSSH   = errors.New("the key is in the format of OpenSSH")
	ErrExplicit  = errors.New("the key has explicit curve parameters instead of the name of its curve")
	ErrKey       = errors.New("the key cannot be parsed")
)

// UnsupportedKeyError is the error of a key whose algorithm or curve crypto/tls does not
// support.
type UnsupportedKeyError struct{ Algorithm string }

func (e UnsupportedKeyError) Error() string {
	return "the key is for " + e.Algorithm + ", which is not supported"
}

// ParseKey returns the private key of a PEM block, or nil if the block is none.
func ParseKey(label string, headers map[string]string, der []byte) (crypto.PrivateKey, error) {
	switch {
	case !strings.HasSuffix(label, "PRIVATE KEY"):
		return nil, nil
	case label == "ENCRYPTED PRIVATE KEY", strings.Contains(headers["Proc-Type"], "ENCRYPTED"):
		return nil, ErrEncrypted
	case label == "OPENSSH PRIVATE KEY":
		return nil, ErrOpenSSH
	}
	return parseKeyDER(der)
}

// parseKeyDER parses PKCS#8, PKCS#1 and SEC 1.
func parseKeyDER(der []byte) (crypto.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
			return k, nil
		}
		if k, err := x509.ParseECPrivateKey(der); err == nil {
			return k, nil
		}
		return nil, keyError(der)
	}
	if _, ok := key.(*ecdh.PrivateKey); ok { // it cannot sign
		return nil, UnsupportedKeyError{"X25519"}
	}
	return key, nil
}

var (
	oidEC = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}

	// algorithmNames are the names of algorithms and curves without support.
	algorithmNames = map[string]string{
		"1.2.840.10040.4.1": "DSA", "1.2.840.113549.1.1.10": "RSA-PSS only", "1.2.840.113549.1.3.1": "Diffie-Hellman",
		"1.3.101.110": "X25519", "1.3.101.111": "X448", "1.3.101.113": "Ed448", "1.3.132.0.10": "the curve secp256k1",
		"1.3.36.3.3.2.8.1.1.7": "the curve brainpoolP256r1", "1.3.36.3.3.2.8.1.1.11": "the curve brainpoolP384r1",
		"1.3.36.3.3.2.8.1.1.13": "the curve brainpoolP512r1", "1.2.156.10197.1.301": "SM2",
	}
)

// keyError returns why a key cannot be parsed.
func keyError(der []byte) error {
	var pkcs8 struct {
		Version   int
		Algorithm pkix.AlgorithmIdentifier
		Key       []byte
		Rest      asn1.RawValue `asn1:"optional,tag:0"`
		Public    asn1.RawValue `asn1:"optional,tag:1"`
	}
	var sec1 struct {
		Version    int
		Key        []byte
		Parameters asn1.RawValue `asn1:"optional,tag:0"`
		Public     asn1.RawValue `asn1:"optional,tag:1"`
	}
	algorithm, parameters := oidEC, asn1.RawValue{}
	if _, err := asn1.Unmarshal(der, &pkcs8); err == nil {
		algorithm, parameters = pkcs8.Algorithm.Algorithm, pkcs8.Algorithm.Parameters
	} else if _, err := asn1.Unmarshal(der, &sec1); err == nil {
		_, _ = asn1.Unmarshal(sec1.Parameters.Bytes, &parameters)
	} else if strings.HasPrefix(tags(firstBody(der), 6), "\x02\x02\x02\x02\x02\x02") && len(values(firstBody(der))) == 6 {
		return UnsupportedKeyError{"DSA"}
	} else {
		return ErrKey
	}
	if !algorithm.Equal(oidEC) {
		return unsupported(algorithm)
	}
	if parameters.Tag == asn1.TagSequence {
		return ErrExplicit
	}
	var curve asn1.ObjectIdentifier
	if _, err := asn1.Unmarshal(parameters.FullBytes, &curve); err != nil || isKnownCurve(curve) {
		return ErrKey
	}
	return unsupported(curve)
}

func unsupported(oid asn1.ObjectIdentifier) error {
	name, ok := algorithmNames[oid.String()]
	switch {
	case ok:
		return UnsupportedKeyError{name}
	case strings.HasPrefix(oid.String(), "1.2.840.113549.1.1.") || strings.HasPrefix(oid.String(), "1.3.101.112"):
		return ErrKey // RSA and Ed25519 are supported: the content is wrong
	}
	return UnsupportedKeyError{"the algorithm " + oid.String()}
}

func isKnownCurve(oid asn1.ObjectIdentifier) bool {
	switch oid.String() {
	case "1.3.132.0.33", "1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35":
		return true
	}
	return false
}

// firstBody returns the body of the value that data begins with.
func firstBody(data []byte) []byte {
	v, _, _ := next(data)
	return v.body
}

// keyProgram returns what a key with an error is, and the openssl command that mends it if
// there is one. noun is "" for a key that is right or damaged.
func keyProgram(err error) (noun, program string) {
	var unsupported UnsupportedKeyError
	switch {
	case errors.Is(err, ErrEncrypted):
		return "an encrypted private key", "openssl pkey"
	case errors.Is(err, ErrExplicit):
		return "an EC key with explicit curve parameters", "openssl pkey -ec_param_enc named_curve"
	case errors.Is(err, ErrOpenSSH):
		return "a private key in the format of OpenSSH", ""
	case errors.As(err, &unsupported):
		return "a key for " + unsupported.Algorithm + ", which is not supported", ""
	}
	return "", ""
}

// openSSH returns the command that converts a key of OpenSSH, which openssl does not read.
// ssh-keygen converts all but Ed25519 keys; of those the command takes the 32 bytes of the
// key out.
func (e *explainer) openSSH(b block) string {
	out := e.output(".pem")
	whole := "sed -n '/-----BEGIN OPENSSH/,/-----END OPENSSH/p' " + e.file
	seed := ed25519Seed(b.Bytes)
	if seed < 0 {
		return "(umask 077; " + whole + " > " + out + "; ssh-keygen -q -p -N '' -m PKCS8 -f " + out + ")"
	}
	return "(umask 077; { printf '0.\\002\\001\\0000\\005\\006\\003+ep\\004\"\\004 '; " + whole + " | sed '/-----/d' | openssl base64 -d | tail -c +" +
		itoa(seed+1) + " | head -c 32; } | openssl pkey -inform DER -out " + out + ")"
}

// ed25519Seed returns the offset of the private key in an unencrypted Ed25519 key of
// OpenSSH, or -1.
func ed25519Seed(der []byte) int {
	// The private part has the type, the public key (32 bytes), and the private key (64).
	pattern := []byte("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20")
	at := bytes.LastIndex(der, pattern)
	private := at + len(pattern) + 32
	if at < 0 || len(der) < private+4+64 || !bytes.Equal(der[private:private+4], []byte{0, 0, 0, 64}) || !bytes.HasPrefix(der, []byte("openssh-key-v1\x00\x00\x00\x00\x04none")) {
		return -1
	}
	return private + 4
}

// block is a PEM block with its lines.
type block struct {
	*pem.Block
	first, last int
}
