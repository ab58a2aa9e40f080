package trust

import (
	"crypto/x509"
	"math/big"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
)

func init() { hook.Trust = access{} }

// access implements the functions that package internal/trustaccess documents and offers
// to the other packages of this module.
type access struct{}

func (access) Remember(v *Verifier, verified Verified) { v.remember(verified) }

func (access) Now(v *Verifier) time.Time { return v.now() }

func (access) UsesSystemClock(v *Verifier) bool { return v.usesSystemClock }

func (access) Warnings(v *Verifier) []hook.Warning { return slices.Clone(v.warnings) }

func (access) ListOf(c CRLInfo) *x509.RevocationList { return c.list }

func (access) CurrentCRLs(v *Verifier) []hook.CRLState { return v.crlStates() }

func (access) LookUp(v *Verifier, issuer []byte, serial *big.Int) []hook.CRLLookup {
	return v.lookUp(issuer, serial)
}

func (access) Revocation(v *Verifier) Revocation { return v.revocation }

func (access) CRLsFreshUntil(v *Verifier) time.Time { return v.crlsFreshUntil() }

func (access) CheckNotOlder(v *Verifier, list *x509.RevocationList) error {
	return v.checkNotOlder(list)
}

func (access) IsFrom(v *Verifier, verified Verified) bool {
	return verified.result != nil && verified.result.generation == v.generation
}

func (a access) IsCurrent(v *Verifier, verified Verified) bool {
	return a.IsFrom(v, verified) && verified.validAt(v.now())
}

func (access) SharesAnchor(v, other *Verifier) bool { return v.sharesAnchor(other) }

func (access) HasTrustDomain(v *Verifier, domain string) bool { return v.domains.names[domain] }

func (access) IssuedBy(v Verified, spki Digest) bool {
	return v.result != nil && slices.Contains(v.result.direct, spki)
}

func (access) IssuedUnder(v Verified, spki Digest) bool {
	return v.result != nil && slices.Contains(v.result.issuers, spki)
}

func (access) IssuedUnderAnchor(v Verified, of *Verifier) bool { return v.issuedUnderAnchor(of) }

func (access) IssuerKeys(v Verified) []Digest {
	if v.result == nil {
		return nil
	}
	return slices.Clone(v.result.issuers)
}

func (access) LooksUp(v *Verifier, anchor *x509.Certificate) bool { return v.looksUp(anchor) }

func (access) WhyNotIssuer(c, parent *x509.Certificate) string { return issuerOf(c).whyNot(parent) }

func (access) CheckAnchor(a *x509.Certificate, p Profile) error {
	if e := checkAnchor(a, p); e != nil {
		return e
	}
	return nil
}

func (access) ReadCertificates(name string, data []byte) ([]hook.Certificate, error) {
	return readCertificates(name, data)
}

func (access) ReadCRLs(name string, data []byte) ([]hook.CRL, error) { return readCRLs(name, data) }

func (access) CheckCRL(list *x509.RevocationList, authorities []*x509.Certificate, now time.Time) error {
	return checkCRL(list, authorities, now)
}

func (access) ParseCRLs(name string, data []byte) ([]hook.ParsedCRL, error) {
	return parseCRLs(name, data)
}

func (access) CheckParsedCRL(list hook.ParsedCRL, authorities []*x509.Certificate, now time.Time) error {
	return list.Parsed.(*parsedCRL).check(authorities, now)
}

func (access) New(c Config, lists []hook.ParsedCRL) (*Verifier, error) {
	parsed := make([]*parsedCRL, len(lists))
	for i, l := range lists {
		parsed[i] = l.Parsed.(*parsedCRL)
	}
	return newVerifier(c, parsed)
}

func (access) IsOlderCRL(list, than *x509.RevocationList) bool { return isOlder(list, than) }
