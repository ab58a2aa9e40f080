package certmap

import (
	"context"
	"math/big"
	"time"

	"github.com/mtlsguard/mtlsguard/trust"
)

// Mapping says which certificates are a user. It holds exactly one kind: one of
// Fingerprint, SPKI, Serial, URI, DNS, Email or Subject. All but Fingerprint and
// SPKI need Issuer; with these two it is a further condition.
//
// A Subject or a URI with {user} in place of exactly one attribute value or path
// segment is a pattern. Its User is {user}, which stands for what was captured, or
// a fixed name.
type Mapping struct {
	ID   string // unique in a table; what logs say
	User string // [A-Za-z0-9][A-Za-z0-9._@-]{0,127}, none of the reserved names

	Fingerprint trust.Digest // of the leaf's DER
	SPKI        trust.Digest // of the leaf's public key
	Serial      *big.Int     // positive, at most 20 bytes (RFC 5280 section 4.1.2.2)
	Subject     string       // RFC 4514 text; see ParseSubject
	URI         string       // the one URI among the alternative names, byte for byte
	DNS         string       // one DNS name among them, without regard to ASCII case
	Email       string       // one address among them; the domain without regard to ASCII case

	// Issuer is the SHA-256 of a CA's public key. That CA must stand anywhere in
	// the verified chain; for Serial it must be the leaf's direct issuer.
	Issuer trust.Digest

	Ports     []string  // the ports on which the mapping is there; empty: all
	NotBefore time.Time // in force from this instant; zero: always was
	NotAfter  time.Time // in force up to and including this instant; zero: always
	Disabled  bool      // matches, and makes the certificate nobody's

	File string // where it was written, for messages; may be empty
	Line int
}

// Match is a certificate's one user.
type Match struct {
	User      string
	MappingID string // the first in force, in the order of the file, that says so

	// Until is the next instant at which the answer may change because of a
	// mapping's own dates: the answer holds before it, and must be asked for again
	// from it on. Zero: never.
	Until time.Time

	// Source and Generation say how long the answer may be reused: while
	// Source.Generation() returns Generation, and before Until. A guard reuses an answer
	// for the next requests of a connection only if Source is the Mapper that the guard
	// was given. So a Mapper that asks a Table or a Live and passes the Match on is asked
	// for every request, unless it sets both fields itself. A nil Source: never reused.
	Source     Source
	Generation uint64
}

// Source is a Mapper whose answers may be reused.
type Source interface {
	Mapper
	// Generation changes with every change of an answer. It is safe for concurrent use.
	Generation() uint64
}

// Mapper finds the user of a verified leaf on a port. The error is a
// *reason.Refusal with Unmapped, Ambiguous or MappingExpired. It is asked on many
// connections at once.
type Mapper interface {
	Map(ctx context.Context, v trust.Verified, port string) (Match, error)
}

// UserVariable is what stands for the captured value in a pattern.
const UserVariable = "{user}"
