package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/dn"
	"github.com/mtlsguard/mtlsguard/reason"
)

// judge does the whole work of Verify, without caps and cache. The error is
// errUndecided only if it may not wait.
func (v *Verifier) verifyChains(ctx context.Context, presented []*x509.Certificate, now time.Time, wait bool) (Verified, error) {
	leaf := presented[0]
	built, err := v.buildChains(presented, now)
	if err != nil {
		// crypto/x509 looks at dates and extensions before it looks for an issuer. A
		// stranger's faults are of no interest to anyone: that he is a stranger is.
		if refused := v.checkIssuer(presented, err); refused != nil {
			return Verified{}, refused
		}
	}
	// The issuer is known: now the leaf's own faults come before those of its dates.
	if refused := v.checkLeaf(leaf); refused != nil {
		return Verified{}, refused
	}
	if err != nil {
		return Verified{}, v.chainRefusal(err, now)
	}
	var chains [][]*x509.Certificate
	var first error
	until := time.Time{}
	for _, chain := range built {
		end, err := v.checkChain(ctx, chain, now, wait)
		if err == errUndecided {
			return Verified{}, err // also where another chain holds: which chains do is part of the judgement
		}
		if err != nil {
			if first == nil || isRefusal(err, reason.Revoked) {
				first = err
			}
			continue
		}
		chains = append(chains, chain)
		if until.IsZero() || end.Before(until) {
			until = end
		}
	}
	if len(chains) == 0 {
		return Verified{}, first
	}
	return v.newVerified(chains, until)
}

// build makes every chain from the leaf to an anchor, by what was presented and
// nothing else.
func (v *Verifier) buildChains(presented []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	leaf := presented[0]
	options := x509.VerifyOptions{
		Roots:         v.roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{v.usage.extended()}, // nested down from the anchor
	}
	for _, c := range presented[1:] {
		if c.Version == 3 { // version 1 cannot say that it is an authority
			options.Intermediates.AddCert(c)
		}
	}
	chains, err := leaf.Verify(options)
	if err == nil || !v.pins[FingerprintOf(leaf)] {
		return chains, err
	}
	// The leaf itself is an anchor: believed as itself, everything else still holds.
	options.Roots = x509.NewCertPool()
	options.Roots.AddCert(leaf)
	return leaf.Verify(options)
}

// checkIssuer finds out whether a leaf that did not verify has a known issuer at
// all, by signatures alone. It returns nil where it has, and the fault lies
// elsewhere.
func (v *Verifier) checkIssuer(presented []*x509.Certificate, err error) error {
	leaf := presented[0]
	known, weak := v.followSignatures(presented)
	if v.pins[FingerprintOf(leaf)] {
		known = true
	}
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	switch {
	case !known && v.rootSubjects[string(leaf.RawIssuer)]:
		return reason.Refuse(reason.UnknownAuthority, "an anchor has the issuer's name, but the signature is not by its key")
	case !known:
		if other := v.issuerInOtherEncoding(presented); other != "" {
			return reason.Refuse(reason.UnknownAuthority, "the issuer "+other+" has this name in another encoding: in chains names are compared byte for byte")
		}
		return reason.Refuse(reason.UnknownAuthority, "no anchor for issuer "+quote(leaf.Issuer.String()))
	case weak != "":
		return reason.Refuse(reason.WeakKey, "signed with "+weak)
	case unknown:
		return reason.Refuse(reason.BadCertificate, "an issuer of the chain is not allowed to sign certificates")
	}
	return nil
}

// encodedOtherwise names an anchor or a presented certificate whose subject is the issuer
// of a presented certificate by RFC 5280 section 7.1 and not byte for byte, as
// crypto/x509 compares. Such a chain is refused: openssl takes it, and the operator has
// to know why we do not.
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

// signedUp reports whether signatures lead from the leaf to an anchor, whatever
// else is wrong on the way, and names an algorithm on the way that nobody should
// believe any more. It checks each pair of presented certificates at most once.
func (v *Verifier) followSignatures(presented []*x509.Certificate) (known bool, weak string) {
	candidates := append(slices.Clone(v.anchors), presented[1:]...)
	seen := map[*x509.Certificate]bool{}
	for queue := presented[:1:1]; len(queue) > 0; queue = queue[1:] {
		c := queue[0]
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
				return true, weak
			}
			seen[parent] = true
			queue = append(queue, parent)
		}
	}
	return false, ""
}

// refuseBuilt finds the word for an error of crypto/x509 other than an unknown
// authority.
func (v *Verifier) chainRefusal(err error, now time.Time) error {
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok {
		if _, critical := errors.AsType[x509.UnhandledCriticalExtension](err); critical {
			return &reason.Refusal{Reason: reason.BadCertificate, Detail: "a critical extension that is not understood", Err: err}
		}
		return &reason.Refusal{Reason: reason.BadCertificate, Detail: "the chain does not hold", Err: err}
	}
	whose := quote(invalid.Cert.Subject.String())
	switch invalid.Reason {
	case x509.Expired:
		if now.Before(invalid.Cert.NotBefore) {
			return reason.Refuse(reason.NotYetValid, whose+" is valid from "+invalid.Cert.NotBefore.UTC().Format(time.RFC3339))
		}
		return reason.Refuse(reason.Expired, whose+" was valid until "+invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case x509.IncompatibleUsage:
		return reason.Refuse(reason.WrongUsage, "an authority of the chain may not issue certificates for "+v.usage.String())
	case x509.NotAuthorizedToSign:
		return reason.Refuse(reason.BadCertificate, whose+" signs and is no authority")
	case x509.TooManyIntermediates:
		return reason.Refuse(reason.BadCertificate, "more intermediates than "+whose+" allows")
	}
	return reason.Refuse(reason.BadCertificate, "the chain breaks a constraint of its authorities")
}

// checkChain judges one chain, the leaf's own properties aside, and says until
// when the judgement holds.
func (v *Verifier) checkChain(ctx context.Context, chain []*x509.Certificate, now time.Time, wait bool) (time.Time, error) {
	until := chain[0].NotAfter
	if depth := len(chain) - 2; v.maxDepth > 0 && depth > v.maxDepth {
		return until, reason.Refuse(reason.BadCertificate, fmt.Sprintf("%d intermediates between the leaf and its anchor, at most %d are accepted", depth, v.maxDepth))
	}
	if err := checkCertificateSyntax(chain[0]); err != nil {
		return until, reason.Refuse(reason.BadCertificate, "the leaf cannot be read: "+err.Error())
	}
	for i, c := range chain[1:] {
		if c.Version != 3 {
			return until, reason.Refuse(reason.BadCertificate, quote(c.Subject.String())+" is an authority of X.509 version "+strconv.Itoa(c.Version))
		}
		if err := checkCertificateSyntax(c); err != nil {
			return until, reason.Refuse(reason.BadCertificate, "an authority of the chain cannot be read: "+err.Error())
		}
		anchor := i == len(chain)-2
		if err := v.checkAuthority(c); err != nil {
			return until, err
		}
		if err := v.checkKey(c, anchor); err != nil {
			return until, err
		}
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	if err := checkConstraints(chain); err != nil {
		return until, err
	}
	if v.revocation == RevocationOff {
		return until, nil
	}
	return v.checkRevocation(ctx, chain, now, until, wait)
}

func (v *Verifier) newVerified(built [][]*x509.Certificate, until time.Time) (Verified, error) {
	chains, presented, err := v.copyChains(built)
	if err != nil {
		return Verified{}, &reason.Refusal{Reason: reason.BadCertificate, Detail: "a certificate cannot be read again", Err: err} // fail closed: this cannot be
	}
	leaf := presented[0]
	b := &result{
		leaf: leaf, chains: chains, presented: presented, until: until, generation: v.generation, usage: v.usage,
		fingerprint: FingerprintOf(leaf), spki: SPKIOf(leaf), notAfter: leaf.NotAfter,
	}
	for _, chain := range chains {
		for i, c := range chain {
			if c.NotAfter.Before(b.notAfter) {
				b.notAfter = c.NotAfter
			}
			if c.NotBefore.After(b.notBefore) {
				b.notBefore = c.NotBefore
			}
			if i == 0 {
				continue
			}
			key := SPKIOf(c)
			if i == 1 && !slices.Contains(b.direct, key) {
				b.direct = append(b.direct, key)
			}
			if !slices.Contains(b.issuers, key) {
				b.issuers = append(b.issuers, key)
			}
		}
	}
	return Verified{b}, nil
}

func isRefusal(err error, r reason.Reason) bool {
	refusal, ok := errors.AsType[*reason.Refusal](err)
	return ok && refusal.Reason == r
}

// quote makes text from a certificate fit for a log: escaped and short.
func quote(text string) string {
	const most = 200
	if len(text) > most {
		return fmt.Sprintf("%q…", text[:most])
	}
	return strconv.QuoteToASCII(text)
}
