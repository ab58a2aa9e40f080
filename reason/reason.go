// Package reason defines the closed list of reasons for which a caller is refused.
//
//	var refusal *reason.Refusal
//	if errors.As(err, &refusal) && refusal.Reason == reason.Expired {
//		// the client needs a new certificate
//	}
//
// The same text is the value of the log field "reason", of the metric label "reason" and
// of the member "reason" in a problem document (RFC 9457), and a heading in
// docs/reasons.md. Code branches on these values, never on the text of an error.
package reason

import "slices"

// Reason is one value of the list. The zero value means that nothing was refused.
type Reason string

// Reasons in the handshake and in the certificate itself.
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
	Address           Reason = "address"
)

// Reasons in a certificate that a gateway forwards.
const (
	UntrustedGateway Reason = "untrusted-gateway"
	BadHeader        Reason = "bad-header"
)

// Reasons in other credentials than a certificate.
const (
	BadCredentials Reason = "bad-credentials"
)

// Reasons in the mapping from certificate to user.
const (
	Unmapped       Reason = "unmapped"
	Ambiguous      Reason = "ambiguous"
	MappingExpired Reason = "mapping-expired"
)

// Reasons in the request.
const (
	AmbiguousPath Reason = "ambiguous-path"
	Misdirected   Reason = "misdirected"
	NoPort        Reason = "no-port"
	Quota         Reason = "quota"
)

// Reasons behind the guard: the request is allowed, and not served.
const (
	Upstream Reason = "upstream"
)

// Reasons in the policy.
const (
	NoRule      Reason = "no-rule"
	Denied      Reason = "denied"
	PolicyError Reason = "policy-error"
)

// entry is the part of an answer that depends on the reason. It reveals nothing about
// mappings and rules.
type entry struct {
	status int
	title  string
}

// order is the list in the order of the constants.
var order = []Reason{
	NoCertificate, UnknownAuthority, Expired, NotYetValid, WrongUsage, NotALeaf, WeakKey, Revoked,
	RevocationUnknown, TooLarge, BadCertificate, Timeout, Limit, Address, UntrustedGateway, BadHeader, BadCredentials,
	Unmapped, Ambiguous, MappingExpired, AmbiguousPath, Misdirected, NoPort, Quota, Upstream, NoRule, Denied, PolicyError,
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
	Address:           {403, "The address is not allowed"},
	UntrustedGateway:  {403, "The gateway is not trusted"},
	BadHeader:         {400, "The gateway's header cannot be read"},
	BadCredentials:    {401, "The credentials are wrong"},
	Unmapped:          {403, "The client certificate belongs to no user"},
	Ambiguous:         {403, "The client certificate belongs to more than one user"},
	MappingExpired:    {403, "The client certificate's mapping is not valid now"},
	AmbiguousPath:     {400, "The request target can be read in more than one way"},
	Misdirected:       {421, "The request does not belong on this connection"},
	NoPort:            {500, "The server is not set up correctly"},
	Quota:             {429, "Too many requests"},
	Upstream:          {502, "The service behind this server does not answer"},
	NoRule:            {403, "Not allowed"},
	Denied:            {403, "Denied"},
	PolicyError:       {503, "No decision can be made"},
}

// All returns every reason, in the order of the list. The slice belongs to the caller.
func All() []Reason { return slices.Clone(order) }

// Known reports whether r is in the list.
func (r Reason) Known() bool { _, ok := entries[r]; return ok }

// Status returns the HTTP status of a refusal: 400 for AmbiguousPath and BadHeader, 401 for
// BadCredentials, 421 for Misdirected (RFC 9110 section 15.5.20), 429 for Quota (RFC 6585 section 4), 500 for NoPort, 502 for Upstream (the answer may
// also have 503 or 504), 503 for PolicyError, and 403 for every other reason, those outside the list included.
func (r Reason) Status() int {
	if e, ok := entries[r]; ok {
		return e.status
	}
	return 403 // fail closed: an unknown reason still refuses
}

// Title returns a short sentence for people, "Refused" for a reason outside the list. It
// is the same for every refusal with one reason and reveals nothing about the rules.
func (r Reason) Title() string {
	if e, ok := entries[r]; ok {
		return e.title
	}
	return "Refused"
}
