package ports

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/mtlsguard/mtlsguard/internal/connlimit"
	"github.com/mtlsguard/mtlsguard/internal/proxyproto"
	"github.com/mtlsguard/mtlsguard/reason"
)

// RemoteAddr returns the caller's address: that of the proxy's PROXY header, otherwise
// that of the connection itself.
func (r *rawConn) RemoteAddr() net.Addr {
	if r.remote != nil {
		return r.remote
	}
	return r.Conn.RemoteAddr()
}

// readProxyHeader reads the PROXY header of a connection from a proxy, and admits the address
// in it. It runs within the handshake's deadline, and on a goroutine of the connection's
// own: the accept loop waits for no proxy.
func (l *listener) readProxyHeader(raw *rawConn, s *state) error {
	caller, err := proxyproto.Read(raw.Conn)
	if wrong, ok := errors.AsType[proxyproto.FormatError](err); ok {
		// Fail closed: without the header the proxy's address would be the caller's.
		return &reason.Refusal{Reason: reason.BadHeader, Detail: fmt.Sprintf("%s, which %s has to send, because its address is in proxy_protocol.from", wrong, raw.proxy), Err: err}
	}
	if err != nil {
		return fmt.Errorf("reading the PROXY header: %w", err)
	}
	if caller.IsValid() {
		raw.remote = net.TCPAddrFromAddrPort(caller)
	}
	if refusal := s.config.Addresses.refuse(ipOf(raw.RemoteAddr())); refusal != nil {
		return refusal
	}
	return l.port.countAddr(raw)
}

// countAddr counts a connection for its caller's address, unless it is closed already.
func (p *Port) countAddr(raw *rawConn) error {
	addr := connlimit.AddrOf(raw.RemoteAddr())
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, open := p.conns[raw.conn]; !open {
		return net.ErrClosed // its place is given back, and a count would stay
	}
	if !p.connLimit.TakeAddr(addr) {
		return reason.Refuse(reason.Limit, p.connLimit.Describe(addr, "limits.connections_per_ip"))
	}
	raw.counted = true
	return nil
}

// checkProxy returns why a configuration would read this connection's address in another way, or
// nil.
func (c *Conn) checkProxy(current *Config) *reason.Refusal {
	switch isProxy := contains(current.ProxyProtocolFrom, ipOf(c.raw.Conn.RemoteAddr())); {
	case isProxy && c.raw.proxy == nil:
		return reason.Refuse(reason.Address, "the connection began without a PROXY header, and its address is in proxy_protocol.from now")
	case !isProxy && c.raw.proxy != nil:
		return reason.Refuse(reason.Address, fmt.Sprintf("the PROXY header came from %s, which is not in proxy_protocol.from any more", c.raw.proxy))
	}
	return nil
}

// refuseProxyHeader returns the refusal of a client that sent a PROXY header and may not, or nil.
func refuseProxyHeader(err error, peer net.Addr) *reason.Refusal {
	record, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || string(record.RecordHeader[:]) != "PROXY" && string(record.RecordHeader[:]) != "\r\n\r\n\x00" {
		return nil
	}
	return &reason.Refusal{Reason: reason.UntrustedGateway, Detail: fmt.Sprintf("a PROXY header from %s, which is not in proxy_protocol.from of the port", peer), Err: err}
}
