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

// Revocation is what to do with a certificate of which it is not known whether it
// is revoked. One that is known to be revoked is always refused, except under Off.
type Revocation int

// Auto is Hard where there are CRLs or a Responder, and Off where there is neither.
const (
	RevocationAuto Revocation = iota
	RevocationOff             // nothing is looked up
	RevocationSoft            // not known: believed
	RevocationHard            // not known: refused as revocation-unknown
)

// Profile is how strictly certificates are judged.
type Profile int

const (
	// Strict wants the usage said explicitly in the leaf, RSA of 2048 to 4096
	// bits, P-256 or better, or Ed25519.
	Strict Profile = iota
	// Compatible also takes a leaf that has no extended key usage at all, a key
	// usage without digitalSignature, RSA of up to 8192 bits, and what RFC 5280 forbids
	// and does no harm here: any usage beside the wanted one, name constraints in a leaf,
	// an empty subject without critical alternative names, an authority with an empty
	// subject, and policy qualifiers that are not understood.
	Compatible
)

// Usage is whose certificates are judged: what the extended key usage of a leaf must
// allow, and that of its authorities.
type Usage int

const (
	// ClientAuth is for clients. Nobody else's certificate can be a user's.
	UsageClient Usage = iota
	// ServerAuth is for servers that we call, never for users: ports, mappings and
	// guards refuse what was judged so.
	UsageServer
)

// String returns clientAuth or serverAuth.
func (u Usage) String() string {
	switch u {
	case UsageClient:
		return "clientAuth"
	case UsageServer:
		return "serverAuth"
	}
	return fmt.Sprintf("Usage(%d)", int(u))
}

// extended is the value of the extension (RFC 5280 section 4.2.1.12).
func (u Usage) extended() x509.ExtKeyUsage {
	if u == UsageServer {
		return x509.ExtKeyUsageServerAuth
	}
	return x509.ExtKeyUsageClientAuth
}

// Config is what a Verifier is built from. It is read once, by New.
type Config struct {
	Anchors    []*x509.Certificate    // chains are accepted to these; never the system's
	CRLs       []*x509.RevocationList // of the anchors and of the authorities below them
	Revocation Revocation             // Auto
	Profile    Profile                // Strict
	Usage      Usage                  // ClientAuth
	Now        func() time.Time       // the clock; nil is time.Now

	// Responder is asked where no CRL speaks for a certificate; nil: nobody is.
	Responder Responder
	// MaxLeafLifetime refuses leaves that were issued for longer; 0: any. A stolen
	// certificate of a day's life needs no revocation.
	MaxLeafLifetime time.Duration
	// MaxDepth is how many intermediates may stand between a leaf and its anchor; 0: any,
	// within the ten certificates that are read. Self-issued ones count.
	MaxDepth int
	// MustBeRevoked are certificates that the CRLs revoke. If one of them is not
	// answered so, the Verifier is not made: a revocation that is configured and does
	// nothing would be found out too late.
	MustBeRevoked []*x509.Certificate
	// CRLIssuers are authorities below the anchors that sign CRLs. They are no anchors,
	// and chains are built without them. With them it is known before any chain shows
	// its intermediate whether somebody known signed a list, whether MustBeRevoked is
	// revoked by it, and, where an intermediate has changed its key, that the list of
	// its new key speaks for what the old one issued.
	CRLIssuers []*x509.Certificate
}

// Verifier judges chains. It is immutable and safe for concurrent use.
type Verifier struct {
	anchors         []*x509.Certificate
	anchorKeys      []Digest
	roots           *x509.CertPool    // the anchors that are authorities
	pins            map[Digest]bool   // the anchors that are not: believed as themselves, and nothing below them
	rootSubjects    map[string]bool   // raw subjects of roots
	authorities     []*authority      // that may sign CRLs
	crls            map[string][]*crl // by canonical issuer
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
	warnings        []string
	cache           *cache

	revokedAnchors map[Digest]bool // by fingerprint
}

// generations counts the verifiers of this process, so that no two share a
// generation.
var generations atomic.Uint64

// New builds a Verifier. Every mistake is reported at once: no anchors, an anchor
// of version 1, a CRL that cannot be believed, Hard without CRLs.
func New(c Config) (*Verifier, error) {
	v := &Verifier{
		anchors:      slices.Clone(c.Anchors),
		roots:        x509.NewCertPool(),
		pins:         map[Digest]bool{},
		rootSubjects: map[string]bool{},
		crls:         map[string][]*crl{},
		revocation:   c.Revocation,
		responder:    c.Responder,
		local:        localOf(c.Responder),
		profile:      c.Profile,
		usage:        c.Usage,
		maxLifetime:  c.MaxLeafLifetime,
		maxDepth:     c.MaxDepth,
		now:          c.Now,
		generation:   generations.Add(1),
		cache:        newCache(),

		revokedAnchors: map[Digest]bool{},
	}
	if v.now == nil {
		v.now, v.usesSystemClock = time.Now, true
	}
	var wrong errorlist.List
	if len(c.Anchors) == 0 {
		// Without this, crypto/x509 would fall back to the system's roots.
		wrong.Add(configerror.Error{What: "a trust needs at least one anchor", Hint: "anchors: [FILE] with the CA certificate of your clients"})
	}
	now := v.now()
	for i, a := range c.Anchors {
		v.addAnchor(&wrong, i, a, now)
		if a != nil {
			v.anchorKeys = append(v.anchorKeys, SPKIOf(a))
		}
	}
	v.addAuthorities(&wrong, c.CRLIssuers)
	for i, list := range c.CRLs {
		if err := checkCRL(list, slices.Concat(c.Anchors, c.CRLIssuers), now); err != nil {
			wrong.Merge(err, configerror.Error{What: fmt.Sprintf("CRLs[%d]", i)})
			continue
		}
		v.addCRL(list, now)
	}
	v.markReplaced()
	v.markRevoked()
	v.checkModes(&wrong, len(c.CRLs))
	v.checkMustBeRevoked(&wrong, c.MustBeRevoked, now)
	if err := wrong.Err(); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *Verifier) addAnchor(wrong *errorlist.List, i int, a *x509.Certificate, now time.Time) {
	if a == nil {
		wrong.Add(configerror.Error{What: fmt.Sprintf("Anchors[%d] is nil", i)})
		return
	}
	if a.Version != 3 {
		// Version 1 has no extensions: nothing says that it is an authority.
		wrong.Add(configerror.Error{
			What: fmt.Sprintf("Anchors[%d], serial %x, is an X.509 version %d certificate", i, a.SerialNumber, a.Version),
			Hint: "an anchor is version 3 and says that it is a CA",
		})
		return
	}
	if err := checkCertificateSyntax(a); err != nil {
		wrong.Add(configerror.Error{
			What: fmt.Sprintf("Anchors[%d], serial %x, cannot be read: %s", i, a.SerialNumber, err),
			Hint: "have the CA certificate made anew; openssl asn1parse -in FILE shows its parts, RFC 5280 section 4.1 their order",
		})
		return
	}
	if v.profile == Strict && a.IsCA && isEmptyName(a.RawSubject) {
		wrong.Add(configerror.Error{
			What: fmt.Sprintf("Anchors[%d], serial %x, has an empty subject", i, a.SerialNumber),
			Hint: "have the CA named (RFC 5280 section 4.1.2.6), or profile: compatible",
		})
		return
	}
	if a.IsCA && a.BasicConstraintsValid {
		v.roots.AddCert(a)
		v.rootSubjects[string(a.RawSubject)] = true
	} else {
		v.pins[FingerprintOf(a)] = true
	}
	v.warnings = append(v.warnings, constraintWarnings(a)...)
	if now.After(a.NotAfter) {
		v.warnings = append(v.warnings, fmt.Sprintf("anchor %s expired at %s", quote(a.Subject.String()), a.NotAfter.UTC().Format(time.RFC3339)))
	}
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
			wrong.Add(configerror.Error{What: "revocation is hard and there are no CRLs: everyone would be refused", Hint: "crls: [FILE], or revocation: off"})
		}
	case RevocationOff, RevocationSoft:
	default:
		wrong.Add(configerror.Error{What: fmt.Sprintf("Revocation %d is none of Auto, Off, Soft, Hard", v.revocation)})
	}
	if v.profile != Strict && v.profile != Compatible {
		wrong.Add(configerror.Error{What: fmt.Sprintf("Profile %d is none of Strict, Compatible", v.profile)})
	}
	if v.maxDepth < 0 {
		wrong.Add(configerror.Error{What: fmt.Sprintf("MaxDepth is %d", v.maxDepth), Hint: "0 takes any depth"})
	}
	if v.usage != UsageClient && v.usage != UsageServer {
		wrong.Add(configerror.Error{What: fmt.Sprintf("Usage %d is none of ClientAuth, ServerAuth", v.usage)})
	}
}

// Generation is different for every Verifier of a process. A Verified of another
// generation was judged under another trust.
func (v *Verifier) Generation() uint64 { return v.generation }

// Usage is whose certificates v judges.
func (v *Verifier) Usage() Usage { return v.usage }

// Anchors returns the anchors. The slice is the caller's.
func (v *Verifier) Anchors() []*x509.Certificate { return slices.Clone(v.anchors) }

// Verify verifies what a client presented, leaf first (RFC 8446 section 4.4.2). The
// error is a *reason.Refusal. Possession of the leaf's key is not shown here: the
// handshake shows it, or a gateway that is itself authenticated. So nothing is
// remembered here: see Remember.
//
// It waits for the Responder where only the Responder knows whether a certificate is
// revoked.
func (v *Verifier) Verify(ctx context.Context, presented []*x509.Certificate) (Verified, error) {
	if err := ctx.Err(); err != nil {
		return Verified{}, &reason.Refusal{Reason: reason.Timeout, Detail: "the caller gave up before its certificate was verified", Err: err}
	}
	return v.verify(ctx, presented, true)
}

// errUndecided is the error of a verification that must not wait for the responder.
var errUndecided = hook.ErrUndecided

// verify asks the responder only if it may wait.
func (v *Verifier) verify(ctx context.Context, presented []*x509.Certificate, wait bool) (verified Verified, err error) {
	defer func() {
		// crypto/x509 has panicked on hostile certificates before. A panic is never a pass.
		if p := recover(); p != nil {
			verified, err = Verified{}, reason.Refuse(reason.BadCertificate, "the verifier panicked on this certificate")
		}
	}()
	if len(presented) == 0 {
		return Verified{}, reason.Refuse(reason.NoCertificate, "nothing was presented")
	}
	if err := checkLimits(presented); err != nil {
		return Verified{}, err
	}
	now := v.now()
	known := v.findCached(presented)
	if known != nil && (Verified{known}).ValidAt(now) {
		return Verified{known}, nil
	}
	if known != nil && !wait && v.isUndecided(ctx, known, now) {
		return Verified{}, errUndecided // without checking every signature again, each second
	}
	return v.verifyChains(ctx, presented, now, wait)
}

// stillUndecided reports whether all that is missing of a judgement is the responder's
// answer.
func (v *Verifier) isUndecided(ctx context.Context, b *result, now time.Time) bool {
	if v.responder == nil || now.Before(b.notBefore) || now.After(b.notAfter) {
		return false
	}
	for _, chain := range b.chains {
		if _, err := v.checkChain(ctx, chain, now, false); err == errUndecided {
			return true
		}
	}
	return false
}
