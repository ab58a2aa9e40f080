package trust

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
)

// judge does the whole work of Verify, without caps and cache.
func (v *Verifier) judge(presented []*x509.Certificate, now time.Time) (Verified, error) {
	leaf := presented[0]
	built, err := v.build(presented, now)
	if errors.Is(err, errUnknown) {
		return Verified{}, v.refuseUnknown(leaf)
	}
	// The issuer is known: now the leaf's own faults come before those of its dates.
	if refused := v.checkLeaf(leaf); refused != nil {
		return Verified{}, refused
	}
	if err != nil {
		return Verified{}, refuseBuilt(err, now)
	}
	var chains [][]*x509.Certificate
	var first error
	until := time.Time{}
	for _, chain := range built {
		end, err := v.checkChain(chain, now)
		if err != nil {
			if first == nil || refusalIs(err, reason.Revoked) {
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
	return v.believe(leaf, chains, until), nil
}

// errUnknown stands for "no chain ends at an anchor".
var errUnknown = errors.New("unknown authority")

// build makes every chain from the leaf to an anchor, by what was presented and
// nothing else.
func (v *Verifier) build(presented []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	leaf := presented[0]
	options := x509.VerifyOptions{
		Roots:         v.roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, // nested down from the anchor
	}
	for _, c := range presented[1:] {
		if c.Version == 3 { // version 1 cannot say that it is an authority
			options.Intermediates.AddCert(c)
		}
	}
	chains, err := leaf.Verify(options)
	if err == nil {
		return chains, nil
	}
	if _, unknown := errors.AsType[x509.UnknownAuthorityError](err); !unknown {
		return nil, err
	}
	if !v.pins[FingerprintOf(leaf)] {
		return nil, errUnknown
	}
	// The leaf itself is an anchor: believed as itself, everything else still holds.
	options.Roots = x509.NewCertPool()
	options.Roots.AddCert(leaf)
	return leaf.Verify(options)
}

// refuseUnknown tells a leaf of an unknown issuer from one whose issuer is known
// and whose signature is of a kind that nobody should believe any more.
func (v *Verifier) refuseUnknown(leaf *x509.Certificate) error {
	if v.known[string(leaf.RawIssuer)] {
		switch leaf.SignatureAlgorithm {
		case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.DSAWithSHA256, x509.ECDSAWithSHA1:
			return reason.Refuse(reason.WeakKey, "signed with "+leaf.SignatureAlgorithm.String())
		}
		return reason.Refuse(reason.UnknownAuthority, "an anchor has the issuer's name, but the signature is not by its key")
	}
	return reason.Refuse(reason.UnknownAuthority, "no anchor for issuer "+quote(leaf.Issuer.String()))
}

// refuseBuilt finds the word for an error of crypto/x509 other than an unknown
// authority.
func refuseBuilt(err error, now time.Time) error {
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
		return reason.Refuse(reason.WrongUsage, "an authority of the chain may not issue certificates for client authentication")
	case x509.NotAuthorizedToSign:
		return reason.Refuse(reason.BadCertificate, whose+" signs and is no authority")
	case x509.TooManyIntermediates:
		return reason.Refuse(reason.BadCertificate, "more intermediates than "+whose+" allows")
	}
	return reason.Refuse(reason.BadCertificate, "the chain breaks a constraint of its authorities")
}

// checkChain judges one chain, the leaf's own properties aside, and says until
// when the judgement holds.
func (v *Verifier) checkChain(chain []*x509.Certificate, now time.Time) (time.Time, error) {
	until := chain[0].NotAfter
	for i, c := range chain[1:] {
		if c.Version != 3 {
			return until, reason.Refuse(reason.BadCertificate, quote(c.Subject.String())+" is an authority of X.509 version "+strconv.Itoa(c.Version))
		}
		anchor := i == len(chain)-2
		if err := v.checkKey(c, anchor); err != nil {
			return until, err
		}
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	if v.revocation == Off {
		return until, nil
	}
	return v.checkRevocation(chain, now, until)
}

func (v *Verifier) believe(leaf *x509.Certificate, chains [][]*x509.Certificate, until time.Time) Verified {
	b := &believed{
		leaf: leaf, chains: chains, until: until, generation: v.generation,
		fingerprint: FingerprintOf(leaf), spki: SPKIOf(leaf),
	}
	for _, chain := range chains {
		for i, c := range chain {
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
	return Verified{b}
}

func refusalIs(err error, r reason.Reason) bool {
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
