package middleware

import (
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/identity"
	"github.com/mtlsguard/mtlsguard/policy"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Outcome is a decision about one request.
type Outcome struct {
	Allowed  bool
	Status   int                // of the answer to a refusal: 400, 401, 403, 421, 429, 500 or 503
	Reason   reason.Reason      // why the request is refused; empty when it is allowed
	Detail   string             // more about the reason, safe to print in logs; never send it to the caller
	Identity *identity.Identity // nil where the caller has no name; treat it as read-only
	// ClaimedUser is the user name that came with wrong credentials, as it was sent: neither
	// authenticated nor escaped. It is for logs only, and empty with any other reason.
	ClaimedUser string
	Verified    trust.Verified // the caller's certificate; zero without a trusted one
	// DisabledMapping is the id of the mapping that shuts the certificate of a refused request out,
	// because it is disabled.
	DisabledMapping string
	// Presented are the certificates that the caller of a refused request sent, leaf first,
	// trusted or not. They are for logs only, and nil where they could not be read. Where a
	// gateway forwards them, and they are trusted, Presented is nil and Verified has them.
	Presented  []*x509.Certificate
	ServerName string         // of a refused request: the name that the client sent (SNI), unchanged
	Gateway    trust.Verified // behind a gateway: the certificate of the connection itself
	// ClientIP is the caller's IP address as a gateway forwards it, or "unknown" if it forwards
	// none. It is for logs only, and empty unless forwarded.Config.ClientIP is set.
	ClientIP   string
	Port       string // empty where the request came by no port
	Method     string
	Path       string          // as authorized; as sent where the request was refused before
	Rule       policy.Position // the rule of the policy that decided; zero without one
	Reference  string          // of a refusal: the same in the answer and in the log
	Challenges []string
	Generation uint64
	Duration   time.Duration // the guard's own time; 0 unless Config.Time is set
}

// refuse makes an outcome a refusal. An unknown reason comes from a mapper, a policy or an
// authenticator that breaks its contract.
func (o *Outcome) refuse(r reason.Reason, detail string) {
	if !r.Known() {
		r = reason.PolicyError
	}
	o.Allowed, o.Reason, o.Detail, o.Status = false, r, detail, r.Status()
	o.Reference = fmt.Sprintf("%016x", rand.Uint64())
}

// challenge makes the refusal of a caller without a certificate a 401, where an authenticator
// of the port has a challenge.
func (c *call) challenge() {
	if (c.Reason == reason.BadCredentials || c.Status == reason.NoRule.Status()) && len(c.port.challenges) > 0 {
		c.Status, c.Challenges = http.StatusUnauthorized, c.port.challenges
	}
}

// describeClient adds to a refusal what the client sent in its handshake.
func (c *call) describeClient() {
	switch {
	case c.tunnel != nil:
		c.ServerName = c.tunnel.ServerName
	case c.conn != nil:
		c.ServerName = c.conn.ServerName()
		if c.hop == nil { // else they are the gateway's
			c.Presented = c.conn.Certificates()
		}
	}
}

func (s *snapshot) observe(c *call, start time.Time) {
	if s.Observe != nil {
		if s.Time {
			c.Duration = time.Since(start)
		}
		s.Observe(c.request, c.Outcome)
	}
}

// startTime reads the clock only where Config.Time is set.
func (s *snapshot) startTime() time.Time {
	if !s.Time {
		return time.Time{}
	}
	return time.Now()
}
