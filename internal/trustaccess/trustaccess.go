// Package trustaccess holds the functions of package trust that only this module calls.
// They concern the state of a Verifier, its clock and its CRL files. None of them makes a
// trust.Verified, except by verifying a chain.
package trustaccess

import (
	"crypto/x509"
	"math/big"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess/hook"
	"github.com/mtlsguard/mtlsguard/trust"
)

// functions is implemented in package trust. The assertion below fails when the program
// starts if the two differ.
type functions interface {
	Remember(v *trust.Verifier, verified trust.Verified)
	Now(v *trust.Verifier) time.Time
	UsesSystemClock(v *trust.Verifier) bool
	Warnings(v *trust.Verifier) []Warning
	ListOf(c trust.CRLInfo) *x509.RevocationList
	CurrentCRLs(v *trust.Verifier) []CRLState
	LookUp(v *trust.Verifier, issuer []byte, serial *big.Int) []CRLLookup
	Revocation(v *trust.Verifier) trust.Revocation
	CRLsFreshUntil(v *trust.Verifier) time.Time
	CheckNotOlder(v *trust.Verifier, list *x509.RevocationList) error
	IsFrom(v *trust.Verifier, verified trust.Verified) bool
	IsCurrent(v *trust.Verifier, verified trust.Verified) bool
	LooksUp(v *trust.Verifier, anchor *x509.Certificate) bool
	SharesAnchor(v, other *trust.Verifier) bool
	HasTrustDomain(v *trust.Verifier, domain string) bool

	IssuedBy(verified trust.Verified, spki trust.Digest) bool
	IssuedUnder(verified trust.Verified, spki trust.Digest) bool
	IssuedUnderAnchor(verified trust.Verified, of *trust.Verifier) bool
	IssuerKeys(verified trust.Verified) []trust.Digest

	WhyNotIssuer(c, parent *x509.Certificate) string
	CheckAnchor(a *x509.Certificate, p trust.Profile) error
	ReadCertificates(name string, data []byte) ([]Certificate, error)
	ReadCRLs(name string, data []byte) ([]CRL, error)
	CheckCRL(list *x509.RevocationList, authorities []*x509.Certificate, now time.Time) error
	IsOlderCRL(list, than *x509.RevocationList) bool
	ParseCRLs(name string, data []byte) ([]ParsedCRL, error)
	CheckParsedCRL(list ParsedCRL, authorities []*x509.Certificate, now time.Time) error
	New(c trust.Config, lists []ParsedCRL) (*trust.Verifier, error)
}

var in = hook.Trust.(functions)

// ErrUndecided is the error of VerifyLocal when only the Responder, which Verify queries, can tell
// whether a certificate is revoked.
var ErrUndecided = hook.ErrUndecided

// Warning describes configuration that loads and is probably not intended.
type Warning = hook.Warning

// Certificate is a certificate and the line of the file at which it starts.
type Certificate = hook.Certificate

// CRL is a revocation list and the line of the file at which it starts.
type CRL = hook.CRL

// ParsedCRL is a revocation list that is checked as far as its content shows, and the line of
// the file at which it starts. Any number of verifiers can share it. Its List has no entries.
type ParsedCRL = hook.ParsedCRL

// CRLState is a list of a Verifier, without its entries, and its end.
type CRLState = hook.CRLState

// CRLLookup is a list of a Verifier, and whether it contains a serial number.
type CRLLookup = hook.CRLLookup

// Local is a context with which Verify, of package trust and of a forwarded.Receiver, waits
// for no responder. The error is a *reason.Refusal, or ErrUndecided when every other check
// passed.
var Local = hook.Local

// VerifyLocal is v.Verify with the context Local.
func VerifyLocal(v *trust.Verifier, presented []*x509.Certificate) (trust.Verified, error) {
	return v.Verify(Local, presented)
}

// Remember caches a result of v, so that Verify need not check the same chain again. Call
// it only when the client has proved that it holds the leaf's key: after a finished
// handshake, or for a certificate that an authenticated gateway forwarded. Any client can
// send another's certificate, so an unproved one would let strangers fill the cache.
//
// The cache is bounded by entries and by bytes, keeps no memory of a handshake's messages,
// and drops an entry after ten minutes.
func Remember(v *trust.Verifier, verified trust.Verified) { in.Remember(v, verified) }

// Now returns the time by the verifier's clock.
func Now(v *trust.Verifier) time.Time { return in.Now(v) }

// UsesSystemClock reports whether the verifier's clock is time.Now.
func UsesSystemClock(v *trust.Verifier) bool { return in.UsesSystemClock(v) }

// Warnings describes configuration that loads but is probably wrong: anchors under which no
// certificate verifies, constraints that are not applied, CRLs that no known authority signed.
func Warnings(v *trust.Verifier) []Warning { return in.Warnings(v) }

// LooksUp reports whether a CRL or the Responder shows which certificates of an anchor are
// revoked.
func LooksUp(v *trust.Verifier, anchor *x509.Certificate) bool { return in.LooksUp(v, anchor) }

// WhyNotIssuer returns why a certificate that looks like the issuer of c is not its issuer:
// it has another key, or its name differs in a way that does not show. It returns "" for a
// certificate with another name, and for the issuer.
func WhyNotIssuer(c, parent *x509.Certificate) string { return in.WhyNotIssuer(c, parent) }

// CheckAnchor returns why a certificate cannot be an anchor under a profile. The error is a
// *configerror.Error whose text follows the name of the certificate.
func CheckAnchor(a *x509.Certificate, p trust.Profile) error { return in.CheckAnchor(a, p) }

// ReadCertificates is trust.ReadCertificates with the line of each certificate.
func ReadCertificates(name string, data []byte) ([]Certificate, error) {
	return in.ReadCertificates(name, data)
}

// CurrentCRLs returns the newest list of each issuer, key and scope, sorted by issuer. It
// returns none if the verifier checks no revocation.
func CurrentCRLs(v *trust.Verifier) []CRLState { return in.CurrentCRLs(v) }

// ListOf returns the list that a trust.CRLInfo describes, without its entries.
func ListOf(c trust.CRLInfo) *x509.RevocationList { return in.ListOf(c) }

// LookUp looks up a serial number in all lists of a verifier whose issuer has this name, as
// DER. It shows what the lists contain; only trust.Verifier.Verify decides whether a
// certificate is revoked.
func LookUp(v *trust.Verifier, issuer []byte, serial *big.Int) []CRLLookup {
	return in.LookUp(v, issuer, serial)
}

// Revocation returns the mode in effect. It is not trust.RevocationAuto.
func Revocation(v *trust.Verifier) trust.Revocation { return in.Revocation(v) }

// CRLsFreshUntil returns the earliest next update of the CRLs of a verifier whose
// revocation is hard: after it, certificates are refused. It is zero for other verifiers.
func CRLsFreshUntil(v *trust.Verifier) time.Time { return in.CRLsFreshUntil(v) }

// CheckNotOlder returns a *configerror.Error for a list that is older than the list of the
// same issuer, key and scope in v. Otherwise an attacker who can restore yesterday's file
// could make a revoked certificate work again.
func CheckNotOlder(v *trust.Verifier, list *x509.RevocationList) error {
	return in.CheckNotOlder(v, list)
}

// IsFrom reports whether v, and no other verifier, made a result.
func IsFrom(v *trust.Verifier, verified trust.Verified) bool { return in.IsFrom(v, verified) }

// IsCurrent reports whether v made a result that holds at this time by its clock. A result
// that is kept with a connection or a forwarded certificate may be used only while it is
// current.
func IsCurrent(v *trust.Verifier, verified trust.Verified) bool { return in.IsCurrent(v, verified) }

// SharesAnchor reports whether the two verifiers have an anchor with the same key, or one
// with an anchor that is issued under an anchor of the other, directly or through
// authorities that either verifier knows (anchors and CRL issuers). A certificate that one
// of them trusts may then be trusted by the other. IssuedUnderAnchor detects intermediates
// that neither verifier knows. SharesAnchor checks signatures: call it when the
// configuration is loaded.
func SharesAnchor(v, other *trust.Verifier) bool { return in.SharesAnchor(v, other) }

// IssuedBy reports whether a direct issuer of the leaf has this key.
func IssuedBy(verified trust.Verified, spki trust.Digest) bool { return in.IssuedBy(verified, spki) }

// IssuedUnder reports whether any CA certificate of the verified chains has this key.
func IssuedUnder(verified trust.Verified, spki trust.Digest) bool {
	return in.IssuedUnder(verified, spki)
}

// IssuedUnderAnchor reports whether an anchor of the verifier has the key of the leaf or of
// any CA certificate of its chains.
func IssuedUnderAnchor(verified trust.Verified, of *trust.Verifier) bool {
	return in.IssuedUnderAnchor(verified, of)
}

// IssuerKeys returns the SPKI digests of the CA certificates of the verified chains, the
// direct issuer first. The caller owns the slice.
func IssuerKeys(verified trust.Verified) []trust.Digest { return in.IssuerKeys(verified) }

// ReadCRLs reads revocation lists from PEM, or one list from DER. It is as strict as
// trust.ReadCertificates. The name appears in errors only.
func ReadCRLs(name string, data []byte) ([]CRL, error) { return in.ReadCRLs(name, data) }

// CheckCRL reports every reason why a list cannot be used: its type, its critical
// extensions, its start, its serial numbers and, if one of the authorities has the
// issuer's name, its signature. Names are compared by RFC 5280 section 7.1. The signature
// of a list with an unknown issuer is checked when a chain contains that issuer. Each
// error is a *configerror.Error.
func CheckCRL(list *x509.RevocationList, authorities []*x509.Certificate, now time.Time) error {
	return in.CheckCRL(list, authorities, now)
}

// IsOlderCRL reports whether a list is older than another of the same issuer: by CRL
// number (RFC 5280 section 5.2.3) if both have one, then by date.
func IsOlderCRL(list, than *x509.RevocationList) bool { return in.IsOlderCRL(list, than) }

// ParseCRLs is ReadCRLs for lists that several verifiers share. Parsing 100,000 entries takes
// longer than everything else about a CRL, and the sorted serial numbers take 2 MB.
func ParseCRLs(name string, data []byte) ([]ParsedCRL, error) { return in.ParseCRLs(name, data) }

// CheckParsedCRL is CheckCRL for a parsed list. It compares the list with the clock and the
// authorities at each call. Of a signature it remembers the result by the certificate of the
// issuer.
func CheckParsedCRL(list ParsedCRL, authorities []*x509.Certificate, now time.Time) error {
	return in.CheckParsedCRL(list, authorities, now)
}

// New is trust.New with parsed lists in place of c.CRLs, which it ignores.
func New(c trust.Config, lists []ParsedCRL) (*trust.Verifier, error) { return in.New(c, lists) }

// HasTrustDomain reports whether v has anchors of a SPIFFE trust domain.
func HasTrustDomain(v *trust.Verifier, domain string) bool { return in.HasTrustDomain(v, domain) }
