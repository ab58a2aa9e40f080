package report

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// formatKey returns the algorithm and the size of a certificate's key.
func formatKey(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Params().Name
	}
	if name := algorithm.UnsupportedKey(c); name != "" {
		return name
	}
	return c.PublicKeyAlgorithm.String()
}

// checkProfiles verifies a certificate under each profile. The certificate is its own
// anchor, and the clock is at its beginning, so that neither issuer nor dates count.
func checkProfiles(c *x509.Certificate) []ProfileFinding {
	var out []ProfileFinding
	for _, p := range []struct {
		name string
		p    trust.Profile
	}{{"strict", trust.Strict}, {"compatible", trust.Compatible}} {
		f := ProfileFinding{Profile: p.name}
		v, err := trust.New(trust.Config{Anchors: []*x509.Certificate{c}, Profile: p.p, Now: func() time.Time { return c.NotBefore }})
		if err == nil {
			_, err = v.Verify(context.Background(), []*x509.Certificate{c})
		}
		switch refusal, ok := errors.AsType[*reason.Refusal](err); {
		case ok:
			f.Reason, f.Detail = refusal.Reason, refusal.Detail
		case err != nil: // the certificate cannot be an anchor
			f.Reason, f.Detail = reason.BadCertificate, fmt.Sprintf("X.509 version %d", c.Version)
		case algorithm.UnsupportedSignature(c) != "":
			f.Reason, f.Detail = reason.WeakKey, "signed with an algorithm that is not supported: "+algorithm.UnsupportedSignature(c)
		case isWeakSignature(c.SignatureAlgorithm): // the verifier does not check the signature of an anchor
			f.Reason, f.Detail = reason.WeakKey, "the signature is "+c.SignatureAlgorithm.String()
		}
		out = append(out, f)
	}
	return out
}

func isWeakSignature(a x509.SignatureAlgorithm) bool {
	switch a {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return true
	}
	return false
}
