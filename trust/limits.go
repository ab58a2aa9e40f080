package trust

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"github.com/mtlsguard/mtlsguard/reason"
)

// Limits for presented certificates. They cannot be configured. They are checked first,
// because checking them is cheap.
const (
	maxCertificates = 10
	maxSize         = 16 << 10 // bytes of DER, each certificate
	maxNames        = 100      // subject alternative names of the leaf, all types together
	maxAttributes   = 64       // of the leaf's subject
	maxValue        = 256      // bytes of one attribute value of the leaf's subject
	maxModulus      = 8192     // bits of the RSA key of each certificate; crypto/tls has the same limit
)

var oidSAN = asn1.ObjectIdentifier{2, 5, 29, 17}

func checkLimits(presented []*x509.Certificate) error {
	if n := len(presented); n > maxCertificates {
		return reason.Refuse(reason.TooLarge, fmt.Sprintf("%d certificates were presented, at most %d are allowed", n, maxCertificates))
	}
	for i, c := range presented {
		if c == nil {
			return reason.Refuse(reason.BadCertificate, "a certificate is nil")
		}
		if n := len(c.Raw); n > maxSize {
			return reason.Refuse(reason.TooLarge, fmt.Sprintf("certificate %d has %d bytes, at most %d are allowed", i, n, maxSize))
		}
		// One signature check with the largest key that fits into a certificate takes 0.1 s.
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxModulus {
			return reason.Refuse(reason.TooLarge, fmt.Sprintf("certificate %d has an RSA key of %d bits, at most %d are allowed", i, key.N.BitLen(), maxModulus))
		}
	}
	leaf := presented[0]
	if n := countNames(leaf); n > maxNames {
		return reason.Refuse(reason.TooLarge, fmt.Sprintf("the leaf has %d alternative names, at most %d are allowed", n, maxNames))
	}
	if n := len(leaf.Subject.Names); n > maxAttributes {
		return reason.Refuse(reason.TooLarge, fmt.Sprintf("the leaf's subject has %d attributes, at most %d are allowed", n, maxAttributes))
	}
	for _, a := range leaf.Subject.Names {
		if s, ok := a.Value.(string); ok && len(s) > maxValue {
			return reason.Refuse(reason.TooLarge, fmt.Sprintf("an attribute of the leaf's subject has %d bytes, at most %d are allowed", len(s), maxValue))
		}
	}
	return nil
}

// countNames counts the alternative names of all types, including those that crypto/x509
// ignores.
func countNames(c *x509.Certificate) int {
	n := 0
	for _, e := range c.Extensions {
		if !e.Id.Equal(oidSAN) {
			continue
		}
		var names []asn1.RawValue
		if rest, err := asn1.Unmarshal(e.Value, &names); err != nil || len(rest) > 0 {
			return maxNames + 1 // fail closed: they cannot be counted
		}
		n += len(names)
	}
	return n
}
