package trust

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
)

// verifyChains does the work of Verify, without the limits and the cache. Its error is
// errUndecided only if it must not wait.
func (v *Verifier) verifyChains(ctx context.Context, presented []*x509.Certificate, now time.Time, wait bool) (Verified, error) {
	leaf := presented[0]
	built, err := v.buildChains(presented, now)
	if err != nil {
		// crypto/x509 checks dates and extensions before it looks for an issuer. For a
		// certificate of an unknown issuer, the unknown issuer is the reason that helps.
		if refused := v.checkIssuer(presented, err); refused != nil {
			return Verified{}, refused
		}
	}
	// The issuer is known. Report faults of the leaf's content before its dates.
	if refused := v.checkLeaf(leaf); refused != nil {
		return Verified{}, refused
	}
	if err != nil {
		return Verified{}, v.chainRefusal(presented, err, now)
	}
	var chains [][]*x509.Certificate
	var first error
	until := time.Time{}
	for _, chain := range built {
		end, err := v.checkChain(ctx, chain, now, wait)
		if err == errUndecided {
			return Verified{}, err // even if another chain is valid: the result contains all valid chains
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
	return v.newVerified(chains, now, until)
}

// buildChains returns every chain from the leaf to an anchor that the presented certificates
// form.
func (v *Verifier) buildChains(presented []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	leaf := presented[0]
	options := x509.VerifyOptions{
		Roots:         v.roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{v.usage.extended()}, // crypto/x509 checks it in every authority too
	}
	for _, c := range presented[1:] {
		if c.Version == 3 { // version 1 cannot show that it is an authority
			options.Intermediates.AddCert(c)
		}
	}
	chains, err := leaf.Verify(options)
	if err == nil || !v.pins[FingerprintOf(leaf)] {
		return chains, err
	}
	// The leaf itself is an anchor. All other checks still apply.
	options.Roots = x509.NewCertPool()
	options.Roots.AddCert(leaf)
	return leaf.Verify(options)
}

// checkChain checks one chain, except for the leaf's own properties, and returns the end of
// its validity.
func (v *Verifier) checkChain(ctx context.Context, chain []*x509.Certificate, now time.Time, wait bool) (time.Time, error) {
	until := chain[0].NotAfter
	if depth := len(chain) - 2; v.maxDepth > 0 && depth > v.maxDepth {
		return until, reason.Refuse(reason.BadCertificate, fmt.Sprintf("%d intermediates between the leaf and its anchor, at most %d are allowed", depth, v.maxDepth))
	}
	if err := checkCertificateSyntax(chain[0]); err != nil {
		return until, reason.Refuse(reason.BadCertificate, "the leaf cannot be read: "+err.Error())
	}
	for i, c := range chain[1:] {
		if c.Version != 3 {
			return until, reason.Refuse(reason.BadCertificate, quoteName(&c.Subject)+" is an authority with X.509 version "+strconv.Itoa(c.Version))
		}
		if err := checkCertificateSyntax(c); err != nil {
			return until, reason.Refuse(reason.BadCertificate, "an authority in the chain cannot be read: "+err.Error())
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
	if err := v.domains.check(chain); err != nil {
		return until, err
	}
	if v.revocation == RevocationOff {
		return until, nil
	}
	return v.checkRevocation(ctx, chain, now, until, wait)
}

// backwards is by how much a clock may be behind that of another goroutine, before it counts as set back. A
// result does not hold before it was made: with a clock that was set back by an hour, the answer of a
// responder would hold for an hour more. Round removes the monotonic clock, which is never set back.
const backwards = time.Second

func (v *Verifier) newVerified(built [][]*x509.Certificate, now, until time.Time) (Verified, error) {
	chains, presented, err := v.copyChains(built)
	if err != nil {
		return Verified{}, &reason.Refusal{Reason: reason.BadCertificate, Detail: "a certificate cannot be parsed again", Err: err} // fail closed, although it parsed before
	}
	leaf := presented[0]
	r := &result{
		leaf: leaf, chains: chains, presented: presented, until: until, generation: v.generation, usage: v.usage,
		fingerprint: FingerprintOf(leaf), spki: SPKIOf(leaf), notBefore: now.Round(0).Add(-backwards), notAfter: leaf.NotAfter,
	}
	for _, chain := range chains {
		if name := v.domains.of(chain); name != "" && r.trustDomain == "" {
			r.trustDomain = name
			r.issuers = append(r.issuers, TrustDomainIssuer(name))
		}
		for i, c := range chain {
			if c.NotAfter.Before(r.notAfter) {
				r.notAfter = c.NotAfter
			}
			if c.NotBefore.After(r.notBefore) {
				r.notBefore = c.NotBefore
			}
			if i == 0 {
				continue
			}
			key := SPKIOf(c)
			if i == 1 && !slices.Contains(r.direct, key) {
				r.direct = append(r.direct, key)
			}
			if !slices.Contains(r.issuers, key) {
				r.issuers = append(r.issuers, key)
			}
		}
	}
	return Verified{r}, nil
}
