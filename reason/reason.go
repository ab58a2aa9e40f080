// Package reason holds the closed list of words for why a caller was refused.
//
// One word serves everywhere: it is the value of the log field "reason", of the
// metric label "reason", of the member "reason" in a problem document
// (RFC 9457), and a heading in docs/reasons.md. Code branches on these words,
// never on the text of an error.
package reason

import "slices"

// Reason is one word of the list. The zero value means that nothing was refused.
type Reason string

// Words of the handshake and of the certificate itself.
const (
	NoCertificate     Reason = "no-certificate"
	UnknownAuthority  Reason = "unknown-authority"
	Expired           Reason = "expired"
	NotYetValid       Reason = "not-yet-valid"
	WrongUsage        Reason = "wrong-usage"
	NotALeaf          Reason = "not-a-leaf"
	WeakKey           Reason = "weak-key"
	Revoked           Reason = "revoked"
	RevocationUnknown Reason = "revocation-unknown"
	TooLarge          Reason = "too-large"
	BadCertificate    Reason = "bad-certificate"
	Timeout           Reason = "timeout"
	Limit             Reason = "limit"
)

// Words of a gateway that states a certificate.
const (
	UntrustedGateway Reason = "untrusted-gateway"
	BadHeader        Reason = "bad-header"
)

// Words of the mapping from certificate to user.
const (
	Unmapped       Reason = "unmapped"
	Ambiguous      Reason = "ambiguous"
	MappingExpired Reason = "mapping-expired"
)

// Words of the request.
const (
	AmbiguousPath Reason = "ambiguous-path"
	Misdirected   Reason = "misdirected"
)

// Words of the policy.
const (
	NoRule      Reason = "no-rule"
	Denied      Reason = "denied"
	PolicyError Reason = "policy-error"
)

// entry is what an answer may say about a word: no more than the word itself.
type entry struct {
	status int
	title  string
}

// order is the order of the list above, which All keeps.
var order = []Reason{
	NoCertificate, UnknownAuthority, Expired, NotYetValid, WrongUsage, NotALeaf, WeakKey, Revoked,
	RevocationUnknown, TooLarge, BadCertificate, Timeout, Limit, UntrustedGateway, BadHeader,
	Unmapped, Ambiguous, MappingExpired, AmbiguousPath, Misdirected, NoRule, Denied, PolicyError,
}

var entries = map[Reason]entry{
	NoCertificate:     {403, "A client certificate is needed"},
	UnknownAuthority:  {403, "The client certificate has no trusted issuer"},
	Expired:           {403, "The client certificate has expired"},
	NotYetValid:       {403, "The client certificate is not valid yet"},
	WrongUsage:        {403, "The client certificate is not for client authentication"},
	NotALeaf:          {403, "The client certificate is an authority's own"},
	WeakKey:           {403, "The client certificate is too weak"},
	Revoked:           {403, "The client certificate is revoked"},
	RevocationUnknown: {403, "It is not known whether the client certificate is revoked"},
	TooLarge:          {403, "The client certificate is too large"},
	BadCertificate:    {403, "The client certificate cannot be used"},
	Timeout:           {403, "The handshake took too long"},
	Limit:             {403, "A limit is reached"},
	UntrustedGateway:  {403, "The gateway is not trusted"},
	BadHeader:         {400, "The gateway's statement cannot be read"},
	Unmapped:          {403, "The client certificate belongs to no user"},
	Ambiguous:         {403, "The client certificate belongs to more than one user"},
	MappingExpired:    {403, "The client certificate's mapping is not in force"},
	AmbiguousPath:     {400, "The request target can be read in more than one way"},
	Misdirected:       {421, "The request does not belong on this connection"},
	NoRule:            {403, "Not allowed"},
	Denied:            {403, "Denied"},
	PolicyError:       {503, "No decision can be made"},
}

// All returns every word, in the order of the list. The slice is the caller's.
func All() []Reason { return slices.Clone(order) }

// Known reports whether r is a word of the list.
func (r Reason) Known() bool { _, ok := entries[r]; return ok }

// Status is the HTTP status of a refusal for this reason: 400 for the target and
// for a gateway's header, 421 for a misdirected request (RFC 9110 section
// 15.5.20), 503 where no decision can be made, 403 for everything else. A word
// that is not of the list is 403.
func (r Reason) Status() int {
	if e, ok := entries[r]; ok {
		return e.status
	}
	return 403 // fail closed: an unknown word is still a refusal
}

// Title is a short sentence for people. It is the same for every refusal of one
// reason and says nothing of the rules.
func (r Reason) Title() string {
	if e, ok := entries[r]; ok {
		return e.title
	}
	return "Refused"
}

// docs is the page whose headings are the words.
const docs = "https://github.com/mtlsguard/mtlsguard/blob/main/docs/reasons.md#"

// URI is the problem type (RFC 9457 section 3.1.1): the heading of the word in
// the project's documentation.
func (r Reason) URI() string { return docs + string(r) }
