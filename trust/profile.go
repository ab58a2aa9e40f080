package trust

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/reason"
)

// checkLeaf checks the leaf's own properties by the profile.
func (v *Verifier) checkLeaf(leaf *x509.Certificate) error {
	if leaf.Version != 3 {
		return reason.Refuse(reason.BadCertificate, fmt.Sprintf("the leaf is X.509 version %d", leaf.Version))
	}
	if leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		detail := "an authority's certificate cannot be a client's" // otherwise an authority's key could be used as a user
		if string(leaf.RawIssuer) == string(leaf.RawSubject) {
			detail += "; a self-signed client certificate needs basicConstraints CA:FALSE"
		}
		return reason.Refuse(reason.NotALeaf, detail)
	}
	if err := v.checkKey(leaf, false); err != nil {
		return err
	}
	if v.profile == Strict {
		if err := checkStrictLeaf(leaf); err != nil {
			return err
		}
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); v.maxLifetime > 0 && life > v.maxLifetime {
		return reason.Refuse(reason.BadCertificate, fmt.Sprintf("the leaf is valid for %s, at most %s is allowed", life, v.maxLifetime))
	}
	return v.checkUsage(leaf)
}

// checkUsage checks that the leaf allows v's usage (RFC 5280 section 4.2.1.12). "any" alone
// and an empty list do not, in either profile: otherwise a mail or server certificate would
// pass for a client's.
func (v *Verifier) checkUsage(leaf *x509.Certificate) error {
	absent := len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 && !has(leaf, oidExtKeyUsage)
	switch {
	case absent && v.profile == Compatible:
	case absent:
		return reason.Refuse(reason.WrongUsage, "the leaf has no extended key usage; the strict profile requires "+v.usage.String())
	case v.profile == Strict && slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny):
		return reason.Refuse(reason.WrongUsage, "the leaf's extended key usage allows any usage; the strict profile requires "+v.usage.String()+" only")
	case !slices.Contains(leaf.ExtKeyUsage, v.usage.extended()):
		return reason.Refuse(reason.WrongUsage, "the leaf's extended key usage does not name "+v.usage.String())
	}
	if has(leaf, oidKeyUsage) && leaf.KeyUsage == 0 { // RFC 5280 section 4.2.1.3 requires at least one bit
		return reason.Refuse(reason.WrongUsage, "the leaf's key usage allows nothing")
	}
	// RFC 8446 section 4.4.2.2: a key usage, if there is one, must allow signatures.
	if v.profile == Strict && has(leaf, oidKeyUsage) && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return reason.Refuse(reason.WrongUsage, "the leaf's key usage does not allow digital signatures")
	}
	return nil
}

var (
	oidKeyUsage    = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtKeyUsage = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidPolicies    = asn1.ObjectIdentifier{2, 5, 29, 32}
	// The policy qualifiers of RFC 5280 section 4.2.1.4.
	oidCPS        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 1}
	oidUserNotice = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 2, 2}
)

// has reports whether a certificate has an extension, even one without content.
func has(c *x509.Certificate, id asn1.ObjectIdentifier) bool { return extensionOf(c, id) != nil }

func extensionOf(c *x509.Certificate, id asn1.ObjectIdentifier) *pkix.Extension {
	for i := range c.Extensions {
		if c.Extensions[i].Id.Equal(id) {
			return &c.Extensions[i]
		}
	}
	return nil
}

// checkStrictLeaf checks the rules of RFC 5280 for a leaf that crypto/x509 does not check.
func checkStrictLeaf(leaf *x509.Certificate) error {
	if has(leaf, oidConstraints) { // section 4.2.1.10: only in a CA certificate
		return reason.Refuse(reason.BadCertificate, "the leaf has name constraints, which are for authorities only")
	}
	if isEmptyName(leaf.RawSubject) { // section 4.1.2.6
		if names := extensionOf(leaf, oidSAN); names == nil || !names.Critical {
			return reason.Refuse(reason.BadCertificate, "the leaf's subject is empty, and it has no critical alternative names")
		}
	}
	return checkQualifiers(leaf)
}

// checkAuthority checks a CA certificate of a chain.
func (v *Verifier) checkAuthority(c *x509.Certificate) error {
	// crypto/x509 treats a key usage without any bit like an absent one.
	if has(c, oidKeyUsage) && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		return reason.Refuse(reason.BadCertificate, "the key usage of "+quoteName(&c.Subject)+" does not allow it to sign certificates")
	}
	if v.profile != Strict {
		return nil
	}
	if isEmptyName(c.RawSubject) { // RFC 5280 section 4.1.2.6
		return reason.Refuse(reason.BadCertificate, "an authority in the chain has an empty subject")
	}
	return checkQualifiers(c)
}

// checkQualifiers refuses a critical certificate policies extension with an unknown
// qualifier, as RFC 5280 section 4.2.1.4 requires.
func checkQualifiers(c *x509.Certificate) error {
	e := extensionOf(c, oidPolicies)
	if e == nil || !e.Critical {
		return nil
	}
	refused := reason.Refuse(reason.BadCertificate, quoteName(&c.Subject)+" has an unknown qualifier in a critical certificate policy")
	in := cryptobyte.String(e.Value)
	var policies cryptobyte.String
	if !in.ReadASN1(&policies, der.SEQUENCE) || !in.Empty() {
		return refused
	}
	for !policies.Empty() {
		var policy, qualifiers cryptobyte.String
		var id asn1.ObjectIdentifier
		var present bool
		if !policies.ReadASN1(&policy, der.SEQUENCE) || !policy.ReadASN1ObjectIdentifier(&id) ||
			!policy.ReadOptionalASN1(&qualifiers, &present, der.SEQUENCE) || !policy.Empty() {
			return refused
		}
		for !qualifiers.Empty() {
			var qualifier cryptobyte.String
			if !qualifiers.ReadASN1(&qualifier, der.SEQUENCE) || !qualifier.ReadASN1ObjectIdentifier(&id) || !id.Equal(oidCPS) && !id.Equal(oidUserNotice) {
				return refused
			}
		}
	}
	return nil
}

// isEmptyName reports whether a name in DER has no attribute.
func isEmptyName(raw []byte) bool { return len(raw) == 2 && raw[0] == 0x30 && raw[1] == 0 }

const (
	minRSA           = 2048
	maxRSA           = 4096
	maxRSACompatible = 8192
	minCurve         = 256
)

// checkKey checks the strength of a public key. The operator chose the anchors, so larger RSA
// keys are allowed for them.
func (v *Verifier) checkKey(c *x509.Certificate, anchor bool) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		most := maxRSA
		if anchor || v.profile == Compatible {
			most = maxRSACompatible
		}
		if bits := key.N.BitLen(); bits < minRSA || bits > most {
			return reason.Refuse(reason.WeakKey, fmt.Sprintf("an RSA key of %d bits, %d to %d are required", bits, minRSA, most))
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < minCurve {
			return reason.Refuse(reason.WeakKey, fmt.Sprintf("a curve of %d bits, at least %d are required", bits, minCurve))
		}
	case ed25519.PublicKey:
	default:
		return reason.Refuse(reason.WeakKey, "an unsupported type of public key: "+algorithm.UnsupportedKey(c))
	}
	return nil
}
