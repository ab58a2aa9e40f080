package middleware

import (
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Fallback decides about requests without a certificate that no authenticator knows.
type Fallback int

const (
	// Strict refuses them. It is the zero value.
	Strict Fallback = iota
	// ToDefault lets them through to the policy, as requests of the user Default.
	ToDefault
)

// Config is what New builds a Guard from. Map and Policy are required.
type Config struct {
	// Map names the user of a certificate. It is called for every request, unless its
	// answers may be reused; see certmap.Match.
	Map certmap.Mapper
	// Policy decides. Where it has a method Groups(user string) []string, this fills in
	// Identity.Groups.
	Policy policy.Decider

	// PortConfig is for every port that PerPort does not name.
	PortConfig
	// PerPort is the configuration of single ports, by name. A port named here takes nothing
	// from the embedded PortConfig.
	PerPort map[string]PortConfig
	// Ports are the names of all ports and tunnels that the guard serves; see CheckPorts.
	// nil: those of the ports.Server that serves the guard's handler. A program that has
	// several servers for one guard names them here.
	Ports []string

	// Quotas bound the requests that the policy allows, on all ports. Handler and Authorize
	// count; Check does not. Reconfigure keeps the counts of a quota whose name and rate stay
	// the same.
	Quotas []Quota
	// Now is the clock of Quotas. nil is one that is never set back.
	Now func() time.Time

	// IdentityHeaders are deleted from every request, beyond the built-in list.
	IdentityHeaders []string
	// Refuse writes the answer to a refused request. The status is Outcome.Status, whatever it
	// writes, and the headers Connection, WWW-Authenticate, Cache-Control and
	// X-Content-Type-Options are the guard's. If it writes nothing, or is nil, the answer is a
	// problem document (RFC 9457), or an error of gRPC or Connect to callers of these.
	Refuse func(http.ResponseWriter, *http.Request, Outcome)
	// Observe is called with every decision before it is carried out. It must not block.
	Observe func(*http.Request, Outcome)
	// Time measures Outcome.Duration. It reads the clock twice a request.
	Time bool
	// Debug puts the whole explanation into refusals: rules, users and mappings. Never set it
	// where strangers send requests.
	Debug bool
	// Generation is copied to every Outcome.
	Generation uint64
}

// PortConfig is the configuration of a port. The zero value is strict.
type PortConfig struct {
	Trust          *trust.Verifier // verifies the connection's certificate; nil: the port's own
	Fallback       Fallback        // 0 means Strict
	Unmapped       string          // the user for trusted certificates that no mapping matches; empty refuses them
	Methods        []string        // known beyond GET HEAD POST PUT PATCH DELETE OPTIONS
	Authenticators []Authenticator // called in order when no certificate was sent
	ServerNames    []string        // SNI and Host must be one of these; empty: any
	// Forwarded reads the certificates that gateways forward. With it the connection's
	// own certificate never identifies a user, and Trust does not count.
	Forwarded *forwarded.Receiver
	// Handler serves the requests of this port that the policy allows, in place of the handler
	// that Guard.Handler protects; Identify and Authorize ignore it. Reconfigure replaces it together with the
	// policy that decides about its requests. It may be a proxy: segments that are empty or dots before
	// their parameters, such as ;x and ..;x, which servlet containers remove, are refused. nil: that handler serves them.
	Handler http.Handler
	// ForwardAuth makes the port answer a gateway's questions, and serve no request. nil: it
	// serves requests.
	ForwardAuth *ForwardAuth
}
