package ports

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/connstate"
	"github.com/mtlsguard/mtlsguard/internal/underway"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// guardConn is a Conn with the methods that only the guard and the checker need. It is a type
// of its own so that programs, which get a *Conn, cannot call them.
type guardConn Conn

var (
	_ connstate.Conn = (*guardConn)(nil)
	_ underway.Work  = (*guardConn)(nil)
)

func init() {
	connstate.Of = func(c net.Conn) (connstate.Conn, bool) {
		own := connOf(c)
		return (*guardConn)(own), own != nil
	}
}

func (c *guardConn) Port() connstate.Port { return (*guardPort)(c.port) }

func (c *guardConn) ServerName() string { return c.serverName }

func (c *guardConn) RemoteIP() netip.Addr {
	if c.simulated {
		return netip.Addr{}
	}
	return ipOf(c.raw.RemoteAddr())
}

func (c *guardConn) Certificates() []*x509.Certificate { return c.certificates }

func (c *guardConn) VerifiedBy(ctx context.Context, v *trust.Verifier) (trust.Verified, error) {
	return (*Conn)(c).verify(ctx, v, true)
}

func (c *guardConn) VerifiedLocally(v *trust.Verifier) (trust.Verified, error) {
	return (*Conn)(c).verify(context.Background(), v, false)
}

func (c *guardConn) Memo() any {
	if m := c.memo.Load(); m != nil {
		return *m
	}
	return nil
}

func (c *guardConn) SetMemo(v any) { c.memo.Store(&v) }

func (c *guardConn) Caller() *connstate.Caller { return c.caller.Load() }

func (c *guardConn) SetCaller(caller *connstate.Caller) { c.caller.Store(caller) }

func (c *guardConn) Track(w underway.Work) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.works, w) {
		c.works = append(c.works, w)
	}
}

func (c *guardConn) Untrack(w underway.Work) {
	if c.hijacked.Load() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.works = slices.DeleteFunc(c.works, func(other underway.Work) bool { return other == w })
}

// Check implements underway.Work: the port still accepts the connection's address, and verifies
// its own certificate.
func (c *guardConn) Check(ctx context.Context, wait bool) error {
	own, current := (*Conn)(c), &c.port.state.Load().config
	if err := own.checkAddress(current); err != nil {
		return err
	}
	if !own.sentCertificate() {
		return nil
	}
	_, err := own.verify(ctx, current.Trust, wait)
	return err
}

// End implements underway.Work and connstate.Conn.
func (c *guardConn) End(why error) {
	if c.ending.Swap(true) {
		return
	}
	if why != nil {
		defer c.reportEnd(why) // last: a panic in it leaves no connection open
	}
	(*Conn)(c).retire()
	if cancel := c.cancel.Load(); cancel != nil {
		(*cancel)()
	}
	switch {
	case c.hijacked.Load():
		c.raw.Close()
		return
	case c.idle.Load():
		(*Conn)(c).closeIdle()
		return
	}
	time.AfterFunc(underway.Grace, func() { c.raw.Close() }) // also where no http.Server reports that it is idle
}

// reportEnd reports the connection's own end.
func (c *guardConn) reportEnd(why error) {
	user, leaf := "", (*x509.Certificate)(nil)
	if m, ok := c.Memo().(interface{ UserName() string }); ok {
		user = m.UserName()
	}
	if (*Conn)(c).sentCertificate() {
		leaf = c.certificates[0]
	}
	c.ReportClosed(user, leaf, why)
}

// ReportClosed implements connstate.Conn.
func (c *guardConn) ReportClosed(user string, leaf *x509.Certificate, why error) {
	event := Closed{Port: c.port.name, Remote: c.raw.RemoteAddr(), Proxy: c.raw.proxy, User: user, Reason: reason.BadCertificate, Err: why, Leaf: leaf}
	if refusal, ok := errors.AsType[*reason.Refusal](why); ok {
		event.Reason = refusal.Reason
	}
	reportClosed(c.port.state.Load(), event)
}

// guardPort is a Port with the methods that only the guard needs.
type guardPort Port

func (p *guardPort) Name() string { return p.name }

func (p *guardPort) Trust() *trust.Verifier { return p.state.Load().config.Trust }

func (p *guardPort) RequiresCertificate() bool { return p.state.Load().config.ClientAuth == Require }

func (p *guardPort) Requested() string { return p.state.Load().requested }

func (p *guardPort) Recheck() { (*Port)(p).recheckBusy() }
