package trust

import (
	"crypto/x509"
	"fmt"
	"time"
)

// Revocation is the mode in which a Verifier checks whether certificates are revoked. A
// certificate that is known to be revoked is refused in every mode but RevocationOff.
type Revocation int

const (
	RevocationAuto Revocation = iota // RevocationHard if there are CRLs or a Responder, else RevocationOff
	RevocationOff                    // nothing is checked
	RevocationSoft                   // a certificate of unknown status is accepted
	RevocationHard                   // a certificate of unknown status is refused as revocation-unknown
)

// Profile is a set of rules for certificates.
type Profile int

const (
	// Strict requires an extended key usage that names Config.Usage, and keys of RSA with
	// 2048 to 4096 bits, ECDSA with P-256 or larger, or Ed25519.
	Strict Profile = iota
	// Compatible also accepts a leaf without an extended key usage, a key usage without
	// digitalSignature, RSA keys of up to 8192 bits, and some violations of RFC 5280 that do
	// no harm here: "any" beside the required extended key usage, name constraints in a leaf,
	// an empty subject without critical alternative names, an authority with an empty
	// subject, and unknown qualifiers in a critical certificate policy.
	Compatible
)

// Usage is the purpose of the certificates that a Verifier accepts. The extended key usage
// of the leaf and of its authorities must allow it.
type Usage int

const (
	// UsageClient is for the certificates of clients. Only these can identify users.
	UsageClient Usage = iota
	// UsageServer is for the certificates of servers that this program connects to. Ports,
	// mappings and guards refuse certificates that were verified for it.
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

// extended returns the extended key usage (RFC 5280 section 4.2.1.12).
func (u Usage) extended() x509.ExtKeyUsage {
	if u == UsageServer {
		return x509.ExtKeyUsageServerAuth
	}
	return x509.ExtKeyUsageClientAuth
}

// Config is the configuration of a Verifier. New reads it once.
type Config struct {
	Anchors    []*x509.Certificate    // the trust anchors; at least one, here or in TrustDomains. The system's are never used
	CRLs       []*x509.RevocationList // of the anchors and of the authorities below them
	Revocation Revocation             // 0 means RevocationAuto
	Profile    Profile                // 0 means Strict
	Usage      Usage                  // 0 means UsageClient
	Now        func() time.Time       // the clock; nil means time.Now

	// TrustDomains are further anchors: the bundles of SPIFFE trust domains, by their names, such as
	// acme.example. An anchor of a trust domain verifies only certificates whose one URI is a
	// SPIFFE ID of that domain, and no other anchor verifies these (X509-SVID section 5): the
	// authority of a federated domain can issue for no other one.
	TrustDomains map[string][]*x509.Certificate

	// Responder returns the status of certificates that no CRL covers; nil means that their
	// status is unknown.
	Responder Responder
	// MaxLeafLifetime is the longest validity of a leaf, from its first to its last day; 0
	// means any. A stolen certificate that lives for a day needs no revocation.
	MaxLeafLifetime time.Duration
	// MaxDepth is the largest number of intermediates between a leaf and its anchor,
	// self-issued ones included. 0 means any number: a client can present ten certificates.
	MaxDepth int
	// MustBeRevoked are certificates that the CRLs must revoke. New returns an error for one
	// that they do not revoke: it shows that the revocation checks do not work.
	MustBeRevoked []*x509.Certificate
	// CRLIssuers are authorities below the anchors that sign CRLs. They are not anchors, and
	// chains are built without them. New needs them to check the signatures of their CRLs
	// and MustBeRevoked, and to apply the CRL of an intermediate's new key to certificates
	// that its old key issued.
	CRLIssuers []*x509.Certificate
}
