package reverse

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/trust"
)

// renewLead is about how long before the end of a certificate its tunnel is replaced.
// What is under way then has this time to end.
const renewLead = time.Hour

// renewalOf is when a tunnel is replaced that begins now and whose certificates end at
// end: renewLead before that, or in the middle where less than two of these are left,
// and up to a quarter earlier, so that servers do not all dial at once. A certificate
// that has not been renewed by then gets more attempts, each in the middle of what is
// left. The zero time means never: too little is left.
func renewalOf(now, end time.Time) time.Time {
	left := end.Sub(now)
	if end.IsZero() || left < 2*sweepEvery {
		return time.Time{}
	}
	lead := min(renewLead, left/2)
	return end.Add(-lead - rand.N(lead/4))
}

// endOfVerified is when the last of the chains of a certificate ends.
func endOfVerified(v trust.Verified) time.Time {
	var last time.Time
	for _, chain := range v.Chains() {
		if end := endOfChain(chain); end.After(last) {
			last = end
		}
	}
	return last
}

// endOfChain is the earliest end of the certificates of a chain.
func endOfChain(chain []*x509.Certificate) time.Time {
	var first time.Time
	for _, c := range chain {
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}

// presentation is the server's own certificate as it was presented for a tunnel. It
// is for one goroutine at a time.
type presentation struct {
	ask   func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	info  *tls.CertificateRequestInfo
	chain [][]byte
	other [][]byte // the last answer of ask, where it is not chain
}

// present is for tls.Config.GetClientCertificate.
func (p *presentation) present(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c, err := p.ask(info)
	if err == nil && c != nil {
		p.info, p.chain = info, c.Certificate
	}
	return c, err
}

// replaced reports whether the certificate for the same request is another now. It
// must be the same one twice in a row: a program may have a new one for each
// connection, and then none replaces another.
func (p *presentation) replaced() bool {
	if p.info == nil {
		return false
	}
	c, err := p.ask(p.info)
	if err != nil || c == nil || len(c.Certificate) == 0 || slices.EqualFunc(c.Certificate, p.chain, bytes.Equal) {
		p.other = nil
		return false
	}
	again := slices.EqualFunc(c.Certificate, p.other, bytes.Equal)
	p.other = c.Certificate
	return again
}

// end is when the chain ends that was presented.
func (p *presentation) end() time.Time {
	var chain []*x509.Certificate
	for _, der := range p.chain {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, c)
		}
	}
	return endOfChain(chain)
}

// earliest is the first of two times; zero is none.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// renewTunnels dials anew where a certificate has been replaced, or ends soon. The old
// tunnel serves until another is there in its place, and ends with its last answer.
func (s *Server) renewTunnels() {
	now := trustaccess.Now(s.receiver.Load().GatewayTrust())
	for _, t := range s.open() {
		if t.own.replaced() || !t.renewAt.IsZero() && !now.Before(t.renewAt) {
			t.leave.Do(func() { close(t.leaving) })
		}
	}
}

// renewPace spreads the new tunnels when all servers are asked for one at once.
const renewPace = 10 * time.Millisecond

// Renew asks every server for a new tunnel in place of each that it has, for instance
// because the certificate of the registration port has been replaced. The old ones
// serve until then, and end with their last answer. Without it a server dials anew an
// hour before a certificate of either end expires. Renew does not wait.
func (g *Gateway) Renew() {
	all := g.pool.all()
	for _, t := range all {
		time.AfterFunc(rand.N(time.Duration(len(all))*renewPace), func() { g.renew(t) })
	}
}
