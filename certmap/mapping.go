package certmap

import (
	"context"
	"math/big"
	"strings"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/san"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Mapping gives a user to the certificates that it matches. It holds exactly one kind: one
// of Fingerprint, SPKI, Serial, URI, DNS, Email or Subject. Every kind but Fingerprint and
// SPKI needs Issuer; for these two it is a further condition.
//
// A Subject or a URI with {user} in place of exactly one attribute value or path segment is
// a pattern. Its User is {user}, which stands for the captured text, or a fixed name.
type Mapping struct {
	ID   string // unique in a table; logs and explanations name the mapping by it
	User string // [A-Za-z0-9][A-Za-z0-9._@-]{0,127} and not reserved, or {user} in a pattern

	Fingerprint trust.Digest // SHA-256 of the leaf's DER
	SPKI        trust.Digest // SHA-256 of the leaf's public key
	Serial      *big.Int     // positive, at most 20 bytes (RFC 5280 section 4.1.2.2)
	Subject     string       // the whole subject as RFC 4514 text
	URI         string       // the only URI among the alternative names, byte for byte
	DNS         string       // one DNS name among them, without regard to ASCII case
	Email       string       // one address among them; the domain without regard to ASCII case

	// Issuer is the SHA-256 of a CA's public key. That CA must be in the verified chain;
	// for Serial it must be the leaf's direct issuer. trust.TrustDomainIssuer returns one for all
	// authorities of a SPIFFE trust domain.
	Issuer trust.Digest

	Ports     []string  // the ports of the mapping, which is ignored on others; empty means all
	NotBefore time.Time // the first instant at which the mapping is valid; zero means no limit
	NotAfter  time.Time // the last instant at which the mapping is valid; zero means no limit
	Disabled  bool      // the mapping still matches, and the certificate is refused

	File string // position for errors, explanations and findings; may be empty
	Line int    // from 1; 0 means unknown
}

// TrustDomain returns the SPIFFE trust domain that is the issuer of a mapping of a URI (see
// trust.TrustDomainIssuer), or "" for an issuer that is one authority. For the other kinds, which do
// not name the trust domain, it returns "" too.
func (m *Mapping) TrustDomain() string { return trustDomain(m.URI, m.Issuer) }

// trustDomain returns the trust domain of a SPIFFE ID if it is the issuer.
func trustDomain(uri string, issuer trust.Digest) string {
	rest, ok := strings.CutPrefix(uri, san.SPIFFE)
	if domain, _, _ := strings.Cut(rest, "/"); ok && issuer == trust.TrustDomainIssuer(domain) {
		return domain
	}
	return ""
}

// Match is the user of a certificate, and how long the answer may be reused.
type Match struct {
	User      string
	MappingID string // the first valid mapping of that user, in the order of the table

	// Until is the next instant at which a mapping's dates may change the answer: from then on,
	// call Map again. Zero means never.
	Until time.Time

	// Source and Generation limit the reuse of the answer: it holds while Source.Generation()
	// returns Generation, and before Until. A guard reuses an answer for later requests of a
	// connection only if Source is the Mapper that the guard was given. So a Mapper that wraps a
	// Table or a Live and returns its Match is called for every request, unless it sets both fields
	// itself. A nil Source means never reuse.
	Source     Source
	Generation uint64
}

// Source is a Mapper whose answers may be reused.
type Source interface {
	Mapper
	// Generation returns a number that changes with every change of an answer. It is safe
	// for concurrent use.
	Generation() uint64
}

// Mapper finds the user of a verified certificate on a port. The error is a
// *reason.Refusal with Unmapped, Ambiguous or MappingExpired. Map is called from many
// goroutines at once.
type Mapper interface {
	Map(ctx context.Context, v trust.Verified, port string) (Match, error)
}
