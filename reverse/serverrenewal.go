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

// renewalLead is about how long before a certificate expires its tunnel is replaced.
// Requests in flight then have this time to end.
const renewalLead = time.Hour

// renewalTime returns when to replace a tunnel that begins now and whose certificates
// expire at notAfter: renewalLead before that, or after half of the time if less than two
// leads are left, and up to a quarter of the lead earlier, so that not all servers dial at
// once. If the certificate has not been renewed by then, each next attempt is again after
// half of the time. The zero time means never: too little time is left.
func renewalTime(now, notAfter time.Time) time.Time {
	left := notAfter.Sub(now)
	if notAfter.IsZero() || left < 2*recheckInterval {
		return time.Time{}
	}
	lead := min(renewalLead, left/2)
	return notAfter.Add(-lead - rand.N(lead/4))
}

// notAfterOfVerified returns when the last of the chains of a certificate expires.
func notAfterOfVerified(v trust.Verified) time.Time {
	var last time.Time
	for _, chain := range v.Chains() {
		if end := notAfterOfChain(chain); end.After(last) {
			last = end
		}
	}
	return last
}

// notAfterOfChain returns when the first certificate of a chain expires.
func notAfterOfChain(chain []*x509.Certificate) time.Time {
	var first time.Time
	for _, c := range chain {
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}

// ownCertificate is the server's own certificate as it was presented for a tunnel. It is
// not safe for concurrent use.
type ownCertificate struct {
	get   func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	info  *tls.CertificateRequestInfo
	chain [][]byte
	other [][]byte // the last result of get if it is not chain
}

// present is the tls.Config.GetClientCertificate of the tunnel.
func (o *ownCertificate) present(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	c, err := o.get(info)
	if err == nil && c != nil {
		o.info, o.chain = info, c.Certificate
	}
	return c, err
}

// replaced reports whether get returns another certificate now. It must return the same
// one twice in a row: a program may make a certificate for each connection, and then none
// replaces another.
func (o *ownCertificate) replaced() bool {
	if o.info == nil {
		return false
	}
	c, err := o.get(o.info)
	if err != nil || c == nil || len(c.Certificate) == 0 || slices.EqualFunc(c.Certificate, o.chain, bytes.Equal) {
		o.other = nil
		return false
	}
	again := slices.EqualFunc(c.Certificate, o.other, bytes.Equal)
	o.other = c.Certificate
	return again
}

// notAfter returns when the first certificate of the presented chain expires.
func (o *ownCertificate) notAfter() time.Time {
	var chain []*x509.Certificate
	for _, der := range o.chain {
		if c, err := x509.ParseCertificate(der); err == nil {
			chain = append(chain, c)
		}
	}
	return notAfterOfChain(chain)
}

// earliest returns the first of two times. The zero time is later than any other.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// renewTunnels replaces the tunnels for which the server's certificate has been replaced,
// or a certificate of either end expires soon. The old tunnel serves until the new one is
// ready, and ends with its last answer.
func (s *Server) renewTunnels() {
	now := trustaccess.Now(s.receiver.Load().GatewayTrust())
	for _, t := range s.list() {
		if t.certificate.replaced() || !t.renewAt.IsZero() && !now.Before(t.renewAt) {
			t.renew()
		}
	}
}
