package trust

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/algorithm"
	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/reason"
)

// checkIssuer checks by signatures alone whether a leaf that did not verify has a known
// issuer. It returns nil if the leaf has one and the fault is another.
func (v *Verifier) checkIssuer(presented []*x509.Certificate, err error) error {
	known, flaw := v.followSignatures(presented, false)
	if v.pins[FingerprintOf(presented[0])] {
		known = true
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case !known:
		if probably, flaw := v.followSignatures(presented, true); probably {
			return reason.Refuse(reason.WeakKey, flaw.unsupported)
		}
		return reason.Refuse(reason.UnknownAuthority, v.unknownIssuer(presented))
	case flaw.weak != "":
		return reason.Refuse(reason.WeakKey, "signed with "+flaw.weak)
	case unknown && flaw.noAuthority != "":
		return reason.Refuse(reason.BadCertificate, flaw.noAuthority+" signed a certificate, but is not an authority (basicConstraints CA:TRUE, keyUsage keyCertSign)")
	case unknown:
		return reason.Refuse(reason.BadCertificate, "an issuer in the chain may not sign certificates")
	}
	return nil
}

// unknownIssuer describes why no anchor issued the certificates. An anchor or a presented
// certificate whose name looks like the issuer's is named with the difference: otherwise the
// reader would look for a certificate that is there.
func (v *Verifier) unknownIssuer(presented []*x509.Certificate) string {
	top := lastSigned(presented)
	wanted := issuerOf(top)
	for _, anchor := range v.anchors {
		if why := wanted.whyNot(anchor); why != "" {
			return fmt.Sprintf("the anchor %s, serial %X, %s", quoteName(&anchor.Subject), anchor.SerialNumber, why)
		}
	}
	for _, c := range presented[1:] {
		if why := wanted.whyNot(c); why != "" && !c.Equal(top) {
			return fmt.Sprintf("no anchor for issuer %s; the client sent %s, serial %X, which %s", quoteName(&top.Issuer), quoteName(&c.Subject), c.SerialNumber, why)
		}
	}
	return v.foreignIssuer(presented, top)
}

// lastSigned returns the last certificate of the path that begins at the leaf and leads from
// signature to signature through the presented certificates.
func lastSigned(presented []*x509.Certificate) *x509.Certificate {
	top, rest := presented[0], slices.Clone(presented[1:])
	for {
		i := slices.IndexFunc(rest, func(c *x509.Certificate) bool {
			return string(c.RawSubject) == string(top.RawIssuer) && !c.Equal(top) && isSignedBy(top, c) == nil
		})
		if i < 0 {
			return top
		}
		top = rest[i]
		rest = slices.Delete(rest, i, i+1)
	}
}

// wantedIssuer is a certificate whose issuer is looked for among others. The name of the issuer
// is prepared once, and not for each of them: a stranger chooses it.
type wantedIssuer struct {
	of                 *x509.Certificate
	canonical, printed string
}

func issuerOf(c *x509.Certificate) wantedIssuer {
	return wantedIssuer{c, dn.Canonical(c.RawIssuer), dn.Print(&c.Issuer)}
}

// whyNot returns why a certificate, which looks like the issuer, is not the issuer. It returns
// "" for one with another name, and for the issuer.
func (w wantedIssuer) whyNot(parent *x509.Certificate) string {
	difference := ""
	switch {
	case string(parent.RawSubject) == string(w.of.RawIssuer):
	case dn.Canonical(parent.RawSubject) == w.canonical:
		difference = "has the same name in another encoding (names in chains are compared byte by byte)"
	case isPrintedAlike(&parent.Subject, &w.of.Issuer) && dn.Print(&parent.Subject) == w.printed:
		difference = "has a name that is printed alike, with its parts in another order or form"
	default:
		return ""
	}
	err := isSignedBy(w.of, parent)
	switch otherKey := err != nil && !algorithm.ErrUnsupported(err); {
	case !otherKey:
		return difference
	case difference == "":
		return "has the issuer's name, but another key"
	}
	return difference + ", and another key"
}

// isPrintedAlike reports whether two names can have the same text.
func isPrintedAlike(a, b *pkix.Name) bool {
	n := len(a.Names)
	return n > 0 && n <= dn.MaxPrinted && n == len(b.Names)
}

// isSignedBy checks the signature of a certificate, and nothing else.
func isSignedBy(c, parent *x509.Certificate) error {
	return parent.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature)
}

// flaws are what is wrong on a path of signatures; each is "" if nothing is.
type flaws struct {
	weak        string // a signature algorithm that is not secure
	unsupported string // a signature that cannot be checked
	noAuthority string // a certificate that signed another and is not an authority
}

// followSignatures reports whether signatures lead from the leaf to an anchor, regardless of
// all other faults. With unsupported it also follows signatures that cannot be checked,
// because crypto/x509 does not support their algorithm or the key. Each pair of presented
// certificates is checked at most once.
func (v *Verifier) followSignatures(presented []*x509.Certificate, unsupported bool) (known bool, flaw flaws) {
	candidates := append(slices.Clone(v.anchors), presented[1:]...)
	seen := map[*x509.Certificate]bool{}
	for queue := presented[:1:1]; len(queue) > 0; queue = queue[1:] {
		c := queue[0]
		for i, parent := range candidates {
			if seen[parent] || string(parent.RawSubject) != string(c.RawIssuer) {
				continue
			}
			err := isSignedBy(c, parent)
			_, insecure := errors.AsType[x509.InsecureAlgorithmError](err)
			switch {
			case unsupported && algorithm.ErrUnsupported(err):
				if flaw.unsupported == "" {
					flaw.unsupported = unsupportedLink(c, parent)
				}
			case err != nil && !insecure:
				continue
			}
			if insecure || c.SignatureAlgorithm == x509.SHA1WithRSA || c.SignatureAlgorithm == x509.ECDSAWithSHA1 {
				flaw.weak = c.SignatureAlgorithm.String()
			}
			if mayNotSign(parent) && flaw.noAuthority == "" {
				flaw.noAuthority = quoteName(&parent.Subject)
			}
			if i < len(v.anchors) {
				return true, flaw
			}
			seen[parent] = true
			queue = append(queue, parent)
		}
	}
	return false, flaws{}
}

// mayNotSign reports whether a certificate is not that of an authority.
func mayNotSign(c *x509.Certificate) bool {
	return !c.IsCA || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0
}

// unsupportedLink describes a signature that cannot be checked.
func unsupportedLink(c, parent *x509.Certificate) string {
	if name := algorithm.UnsupportedSignature(c); name != "" {
		return quoteName(&c.Subject) + " is signed with an algorithm that is not supported: " + name
	}
	return quoteName(&parent.Subject) + " has a key that is not supported: " + algorithm.UnsupportedKey(parent)
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
	whose := quoteName(&invalid.Cert.Subject)
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
	const most = 200
	for _, c := range presented {
		for _, id := range c.UnhandledCriticalExtensions {
			if out += ", " + id.String(); len(out) >= most {
				return out[:most]
			}
		}
	}
	return out
}

func isRefusal(err error, r reason.Reason) bool {
	refusal, ok := errors.AsType[*reason.Refusal](err)
	return ok && refusal.Reason == r
}

// quoteName is quote for a name of a certificate or CRL.
func quoteName(n *pkix.Name) string { return quote(dn.Print(n)) }

// quote escapes and shortens text from a certificate for logs.
func quote(text string) string {
	const most = 200
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	return strconv.QuoteToASCII(text)
}
