package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/reason"
)

// checkIssuer checks by signatures alone whether a leaf that did not verify has a known
// issuer. It returns nil if the leaf has one and the fault is another.
func (v *Verifier) checkIssuer(presented []*x509.Certificate, err error) error {
	leaf := presented[0]
	known, weak, last := v.followSignatures(presented)
	if v.pins[FingerprintOf(leaf)] {
		known = true
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case !known && v.rootSubjects[string(last.RawIssuer)]:
		return reason.Refuse(reason.UnknownAuthority, "an anchor has the issuer's name, but another key: "+quote(last.Issuer.String()))
	case !known:
		if other := v.issuerInOtherEncoding(presented); other != "" {
			return reason.Refuse(reason.UnknownAuthority, "the issuer "+other+" has the same name in another encoding; names in chains are compared byte by byte")
		}
		return reason.Refuse(reason.UnknownAuthority, v.unknownIssuer(presented, last))
	case weak != "":
		return reason.Refuse(reason.WeakKey, "signed with "+weak)
	case unknown:
		return reason.Refuse(reason.BadCertificate, "an issuer in the chain may not sign certificates")
	}
	return nil
}

// issuerInOtherEncoding returns the subject of an anchor or presented certificate that equals
// the issuer of a presented certificate by RFC 5280 section 7.1, but not byte by byte, as
// crypto/x509 compares. OpenSSL accepts such a chain, so the refusal must show the reason.
func (v *Verifier) issuerInOtherEncoding(presented []*x509.Certificate) string {
	parents := slices.Concat(v.anchors, presented[1:])
	for _, c := range presented {
		issuer := dn.Canonical(c.RawIssuer)
		for _, parent := range parents {
			if string(parent.RawSubject) != string(c.RawIssuer) && dn.Canonical(parent.RawSubject) == issuer {
				return quote(parent.Subject.String())
			}
		}
	}
	return ""
}

// followSignatures reports whether signatures lead from the leaf to an anchor, regardless of
// all other faults. weak is a signature algorithm on the way that is not secure, and last the
// certificate at which the way ends without an anchor. Each pair of presented certificates is
// checked at most once.
func (v *Verifier) followSignatures(presented []*x509.Certificate) (known bool, weak string, last *x509.Certificate) {
	candidates := append(slices.Clone(v.anchors), presented[1:]...)
	seen := map[*x509.Certificate]bool{}
	for queue := presented[:1:1]; len(queue) > 0; queue = queue[1:] {
		c := queue[0]
		last = c
		for i, parent := range candidates {
			if seen[parent] || string(parent.RawSubject) != string(c.RawIssuer) {
				continue
			}
			err := parent.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
			_, insecure := errors.AsType[x509.InsecureAlgorithmError](err)
			if err != nil && !insecure {
				continue
			}
			if insecure || c.SignatureAlgorithm == x509.SHA1WithRSA || c.SignatureAlgorithm == x509.ECDSAWithSHA1 {
				weak = c.SignatureAlgorithm.String()
			}
			if i < len(v.anchors) {
				return true, weak, last
			}
			seen[parent] = true
			queue = append(queue, parent)
		}
	}
	return false, "", last
}

// chainRefusal returns the refusal for an error of crypto/x509 other than an unknown
// authority.
func (v *Verifier) chainRefusal(presented []*x509.Certificate, err error, now time.Time) error {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok {
		if _, critical := errors.AsType[x509.UnhandledCriticalExtension](err); critical {
			return &reason.Refusal{Reason: reason.BadCertificate, Detail: "an unknown critical extension" + unknownExtensions(presented), Err: err}
		}
		return &reason.Refusal{Reason: reason.BadCertificate, Detail: "the chain is not valid", Err: err}
	}
	whose := quote(invalid.Cert.Subject.String())
	switch invalid.Reason {
	case x509.Expired:
		if now.Before(invalid.Cert.NotBefore) {
			return reason.Refuse(reason.NotYetValid, whose+" is valid from "+invalid.Cert.NotBefore.UTC().Format(time.RFC3339))
		}
		return reason.Refuse(reason.Expired, whose+" was valid until "+invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case x509.IncompatibleUsage:
		return reason.Refuse(reason.WrongUsage, "an authority in the chain may not issue certificates for "+v.usage.String())
	case x509.NotAuthorizedToSign:
		return reason.Refuse(reason.BadCertificate, whose+" signed a certificate but is not an authority")
	case x509.TooManyIntermediates:
		return reason.Refuse(reason.BadCertificate, "more intermediates than "+whose+" allows")
	}
	return reason.Refuse(reason.BadCertificate, "the chain violates a constraint of its authorities")
}

// unknownExtensions returns the OIDs of the critical extensions that nothing handles.
func unknownExtensions(presented []*x509.Certificate) string {
	out := ""
	for _, c := range presented {
		for _, id := range c.UnhandledCriticalExtensions {
			out += ", " + id.String()
		}
	}
	return out[:min(len(out), 200)]
}

func isRefusal(err error, r reason.Reason) bool {
	refusal, ok := errors.AsType[*reason.Refusal](err)
	return ok && refusal.Reason == r
}

// quote escapes and shortens text from a certificate for logs.
func quote(text string) string {
	const most = 200
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	return strconv.QuoteToASCII(text)
}
