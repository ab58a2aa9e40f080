package trust

import (
	"context"
	"crypto/x509"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Verifier verifies certificate chains. It is immutable and safe for concurrent use.
type Verifier struct {
	anchors         []*x509.Certificate
	anchorKeys      []Digest
	roots           *x509.CertPool    // the anchors that are authorities
	pins            map[Digest]bool   // the other anchors: trusted themselves, but not as issuers
	authorities     []*authority      // that may sign CRLs
	crls            map[string][]*crl // by canonical issuer
	revokedAnchors  map[Digest]bool   // by fingerprint
	revocation      Revocation
	responder       Responder
	local           localResponder // of the responder; nil: it has none
	profile         Profile
	usage           Usage
	maxLifetime     time.Duration
	maxDepth        int
	now             func() time.Time
	usesSystemClock bool // now is time.Now
	generation      uint64
	warnings        []hook.Warning
	cache           *cache
	issuerNames     *issuerNames
	domains         domains
}

// generations counts the verifiers of this process, so that each has its own generation.
var generations atomic.Uint64

// New returns a Verifier. Its error holds every configuration error (see
// configerror.All): no anchors, an anchor of version 1, a CRL that cannot be used,
// RevocationHard without CRLs.
func New(c Config) (*Verifier, error) {
	lists := make([]*parsedCRL, len(c.CRLs))
	for i, list := range c.CRLs {
		lists[i] = parseCRL(list)
	}
	return newVerifier(c, lists)
}

// newVerifier is New with parsed lists in place of c.CRLs.
func newVerifier(c Config, lists []*parsedCRL) (*Verifier, error) {
	v := &Verifier{
		anchors:        slices.Clone(c.Anchors),
		roots:          x509.NewCertPool(),
		pins:           map[Digest]bool{},
		crls:           map[string][]*crl{},
		revokedAnchors: map[Digest]bool{},
		revocation:     c.Revocation,
		responder:      c.Responder,
		local:          localOf(c.Responder),
		profile:        c.Profile,
		usage:          c.Usage,
		maxLifetime:    c.MaxLeafLifetime,
		maxDepth:       c.MaxDepth,
		now:            c.Now,
		generation:     generations.Add(1),
		cache:          newCache(),
	}
	if v.now == nil {
		v.now, v.usesSystemClock = time.Now, true
	}
	var wrong errorlist.List
	if len(c.Anchors)+len(c.TrustDomains) == 0 {
		// Without this check, crypto/x509 would fall back to the system's roots.
		wrong.Add(configerror.Error{What: "a trust needs at least one anchor", Hint: "anchors: [FILE] with the CA certificate of your clients"})
	}
	now := v.now()
	for i, a := range c.Anchors {
		v.addAnchor(&wrong, fmt.Sprintf("Anchors[%d]", i), a)
	}
	v.addTrustDomains(&wrong, &c)
	v.issuerNames = newIssuerNames(v.anchors)
	v.addAuthorities(&wrong, c.CRLIssuers)
	for i, list := range lists {
		if err := list.check(slices.Concat(v.anchors, c.CRLIssuers), now); err != nil {
			wrong.Merge(err, configerror.Error{What: fmt.Sprintf("CRLs[%d]", i)})
			continue
		}
		v.addCRL(list)
	}
	v.markReplaced()
	v.markRevoked()
	v.checkModes(&wrong, len(lists))
	v.warnUnlisted()
	v.checkMustBeRevoked(&wrong, c.MustBeRevoked, now)
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *Verifier) checkModes(wrong *errorlist.List, crls int) {
	switch v.revocation {
	case RevocationAuto:
		v.revocation = RevocationOff
		if crls > 0 || v.responder != nil {
			v.revocation = RevocationHard
		}
	case RevocationHard:
		if crls == 0 && v.responder == nil {
			wrong.Add(configerror.Error{What: "revocation is hard and there are no CRLs: every client would be refused", Hint: "crls: [FILE], or revocation: off"})
		}
	case RevocationOff, RevocationSoft:
	default:
		wrong.Add(configerror.Error{What: fmt.Sprintf("Revocation %d is not a mode", v.revocation), Hint: "RevocationAuto, RevocationOff, RevocationSoft or RevocationHard"})
	}
	if v.profile != Strict && v.profile != Compatible {
		wrong.Add(configerror.Error{What: fmt.Sprintf("Profile %d is not a profile", v.profile), Hint: "Strict or Compatible"})
	}
	if v.maxDepth < 0 {
		wrong.Add(configerror.Error{What: fmt.Sprintf("MaxDepth %d is negative", v.maxDepth), Hint: "0 accepts any depth"})
	}
	if v.usage != UsageClient && v.usage != UsageServer {
		wrong.Add(configerror.Error{What: fmt.Sprintf("Usage %d is not a usage", v.usage), Hint: "UsageClient or UsageServer"})
	}
}

// Usage returns the purpose of the certificates that v accepts.
func (v *Verifier) Usage() Usage { return v.usage }

// Anchors returns the trust anchors. The caller owns the slice.
func (v *Verifier) Anchors() []*x509.Certificate { return slices.Clone(v.anchors) }

// Verify verifies the certificates that a client presented, leaf first (RFC 8446 section
// 4.4.2). The error is a *reason.Refusal. Verify waits for the Responder, within ctx, when
// no CRL covers a certificate.
//
// Verify does not prove that the client holds the leaf's key. The TLS handshake proves it,
// or an authenticated gateway vouches for it.
func (v *Verifier) Verify(ctx context.Context, presented []*x509.Certificate) (Verified, error) {
	if err := ctx.Err(); err != nil {
		return Verified{}, &reason.Refusal{Reason: reason.Timeout, Detail: "the caller gave up before its certificate was verified", Err: err}
	}
	return v.verify(ctx, presented, !hook.IsLocal(ctx))
}

// errUndecided is the error of a verification that must not wait for the Responder.
var errUndecided = hook.ErrUndecided

// verify calls the Responder only if it may wait.
func (v *Verifier) verify(ctx context.Context, presented []*x509.Certificate, wait bool) (verified Verified, err error) {
	defer func() {
		// crypto/x509 has panicked on hostile certificates before. Fail closed.
		if p := recover(); p != nil {
			verified, err = Verified{}, reason.Refuse(reason.BadCertificate, "the verifier panicked on this certificate")
		}
	}()
	if len(presented) == 0 {
		return Verified{}, reason.Refuse(reason.NoCertificate, "no certificate was presented")
	}
	if err := checkLimits(presented); err != nil {
		return Verified{}, err
	}
	now := v.now()
	cached := v.findCached(presented)
	if cached != nil && (Verified{cached}).validAt(now) {
		return Verified{cached}, nil
	}
	if cached != nil && !wait && v.isUndecided(ctx, cached, now) {
		return Verified{}, errUndecided // callers that must not wait call every second: save the signature checks
	}
	return v.verifyChains(ctx, presented, now, wait)
}

// isUndecided reports whether a cached result lacks nothing but the Responder's answer.
func (v *Verifier) isUndecided(ctx context.Context, r *result, now time.Time) bool {
	if v.responder == nil || now.Before(r.notBefore) || now.After(r.notAfter) {
		return false
	}
	for _, chain := range r.chains {
		if _, err := v.checkChain(ctx, chain, now, false); err == errUndecided {
			return true
		}
	}
	return false
}
