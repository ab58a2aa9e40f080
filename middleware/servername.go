package middleware

import (
	"github.com/mtlsguard/mtlsguard/internal/hostname"
	"github.com/mtlsguard/mtlsguard/reason"
)

// serverName returns the name that the client sent (SNI). In a gateway's question about a host, it
// is that host.
func (c *call) serverName() string {
	if c.answersQuestions() && c.port.ForwardAuth.Host != "" {
		return c.request.Host
	}
	if c.tunnel != nil {
		return c.tunnel.ServerName
	}
	return c.conn.ServerName()
}

// checkNames returns an error where SNI or Host is not among the names that the port serves
// (RFC 9110 section 15.5.20). Without ServerNames it accepts every name.
func (p *port) checkNames(sni, host string) error {
	if p.names == nil {
		return nil
	}
	host = hostname.Canonical(host)
	if sni == "" && hostname.IsIP(host) {
		sni = host // a client sends no name for an address (RFC 6066 section 3)
	}
	if !p.names[hostname.Canonical(sni)] {
		return reason.Refuse(reason.Misdirected, "the connection was made to a name that this port does not serve")
	}
	if !p.names[host] {
		return reason.Refuse(reason.Misdirected, "the request is for a host that this port does not serve")
	}
	return nil
}
