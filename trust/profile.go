package trust

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/mtlsguard/mtlsguard/reason"
)

// checkLeaf judges the leaf's own properties by the profile.
func (v *Verifier) checkLeaf(leaf *x509.Certificate) error {
	if leaf.Version != 3 {
		return reason.Refuse(reason.BadCertificate, fmt.Sprintf("the leaf is X.509 version %d", leaf.Version))
	}
	if leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
		return reason.Refuse(reason.NotALeaf, "an authority's certificate names no user") // else its key is every user of that authority
	}
	if err := v.checkKey(leaf, false); err != nil {
		return err
	}
	if life := leaf.NotAfter.Sub(leaf.NotBefore); v.maxLife > 0 && life > v.maxLife {
		return reason.Refuse(reason.BadCertificate, fmt.Sprintf("the leaf was issued for %s, at most %s is accepted", life, v.maxLife))
	}
	return v.checkUsage(leaf)
}

// checkUsage wants v's usage (RFC 5280 section 4.2.1.12). "any" and an empty list are
// refused by every profile: they would let a mail certificate in, or a server's for a
// client's.
func (v *Verifier) checkUsage(leaf *x509.Certificate) error {
	absent := len(leaf.ExtKeyUsage) == 0 && len(leaf.UnknownExtKeyUsage) == 0 && !hasEKU(leaf)
	switch {
	case absent && v.profile == Compatible:
	case absent:
		return reason.Refuse(reason.WrongUsage, "the leaf has no extended key usage; the strict profile wants "+v.usage.String())
	case !slices.Contains(leaf.ExtKeyUsage, v.usage.extended()):
		return reason.Refuse(reason.WrongUsage, "the leaf's extended key usage does not name "+v.usage.String())
	}
	// RFC 8446 section 4.4.2.2: a key usage, if there is one, must allow signatures.
	if v.profile == Strict && leaf.KeyUsage != 0 && leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return reason.Refuse(reason.WrongUsage, "the leaf's key usage does not allow digital signatures")
	}
	return nil
}

// hasEKU tells an empty extended key usage from an absent one.
func hasEKU(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		if e.Id.Equal([]int{2, 5, 29, 37}) {
			return true
		}
	}
	return false
}

const (
	minRSA           = 2048
	maxRSA           = 4096
	maxRSACompatible = 8192
	minCurve         = 256
)

// checkKey judges the strength of a public key. An anchor was chosen by the
// operator, so only too little is refused there, not too much.
func (v *Verifier) checkKey(c *x509.Certificate, anchor bool) error {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		most := maxRSA
		if anchor || v.profile == Compatible {
			most = maxRSACompatible
		}
		if bits := key.N.BitLen(); bits < minRSA || bits > most {
			return reason.Refuse(reason.WeakKey, fmt.Sprintf("RSA of %d bits, wanted %d to %d", bits, minRSA, most))
		}
	case *ecdsa.PublicKey:
		if bits := key.Curve.Params().BitSize; bits < minCurve {
			return reason.Refuse(reason.WeakKey, fmt.Sprintf("a curve of %d bits, wanted %d or more", bits, minCurve))
		}
	case ed25519.PublicKey:
	default:
		return reason.Refuse(reason.WeakKey, "a public key of a kind that is not accepted: "+c.PublicKeyAlgorithm.String())
	}
	return nil
}
