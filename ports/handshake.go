package ports

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/signhint"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Handshake describes how one handshake ended.
type Handshake struct {
	Port       string
	Remote     net.Addr            // the caller, as its proxy reports it if there is one
	Proxy      net.Addr            // the peer that has to send a PROXY header; nil: there is none
	ServerName string              // as the client sent it; empty if the handshake ended before
	Reason     reason.Reason       // why the port refused the client; empty if it did not
	Err        error               // nil for a finished handshake. With an empty Reason the client, the network or Config.Certificate ended it
	Presented  []*x509.Certificate // the client's certificates as far as they could be read, trusted or not; leaf first
	Version    uint16              // of TLS, such as tls.VersionTLS13
	Resumed    bool
	Probe      bool // the client marked itself as a probe of the command. Any client can do so
	Duration   time.Duration
}

// handshake does the TLS handshake of one accepted connection, and hands the connection to
// Accept or closes it.
func (l *listener) handshake(raw *rawConn) {
	defer l.underWay.Add(-1)
	defer func() {
		// The last resort: for example, an error of Config.Certificate whose Unwrap panics.
		if v := recover(); v != nil {
			logPanic(l.port.name, v)
			raw.Close()
		}
	}()
	p, s := l.port, l.port.state.Load()
	h := raw.handshake
	defer func() { p.handshakeBytes.Add(-int64(h.bytes)) }()
	start := time.Now()
	h.end = start.Add(s.config.Limits.Handshake)
	raw.idleLimit = s.config.Limits.Idle
	raw.SetDeadline(h.end)
	if raw.proxy != nil {
		if err := l.readProxyHeader(raw, s); err != nil {
			event := Handshake{Port: p.name, Remote: raw.RemoteAddr(), Proxy: raw.proxy, Duration: time.Since(start)}
			event.Reason, event.Err = reasonFor(err, raw, s, &tls.ConnectionState{}, false, 0)
			report(s, event)
			raw.Close()
			return
		}
	}
	t := tls.Server(raw, s.configFor(raw))
	err := p.finishHandshake(t, raw, s)
	cs := t.ConnectionState()
	h.releasePlace()
	clear(h.alert.secret)
	raw.handshake = nil // from here on the connection belongs to the caller of Accept
	event := Handshake{
		Port: p.name, Remote: raw.RemoteAddr(), Proxy: raw.proxy, ServerName: cs.ServerName, Err: err, Presented: slices.Clone(cs.PeerCertificates),
		Version: cs.Version, Resumed: cs.DidResume, Probe: h.probe, Duration: time.Since(start),
	}
	if err != nil {
		event.Reason, event.Err = reasonFor(signhint.Explain(err), raw, s, &cs, h.clientReplied, h.bytes)
		if event.Reason == reason.NoCertificate {
			event.Err = &reason.Refusal{Reason: event.Reason, Detail: errNone.Detail + "; " + s.requested, Err: err}
		}
		report(s, event)
		answerPlainHTTP(err)
		closeAfterAlert(raw)
		return
	}
	if !report(s, event) {
		raw.Close() // fail closed: no connection without its event
		return
	}
	raw.SetDeadline(time.Time{})
	l.offer(l.queueFor(raw.conn), t)
}

// finishHandshake does the handshake. A panic of crypto/tls, or of a function in the
// configuration, ends this handshake and nothing else.
func (p *Port) finishHandshake(t *tls.Conn, raw *rawConn, s *state) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("ports: %s: the handshake panicked: %v", p.name, v)
			logPanic(p.name, v)
		}
	}()
	if err := t.Handshake(); err != nil {
		return err
	}
	if raw.handshake.challenge {
		return errChallenge // before the connection is established: no handler ever sees it
	}
	cs := t.ConnectionState()
	return p.establish(raw.conn, s, &cs)
}

// report calls OnHandshake. It returns false if that panicked.
func report(s *state, event Handshake) (ok bool) {
	if s.config.OnHandshake == nil {
		return true
	}
	defer func() {
		if v := recover(); v != nil {
			ok = false
			logPanic(s.config.Name, v)
		}
	}()
	s.config.OnHandshake(event)
	return true
}

// logPanic writes to the program's default log: a panic is a defect of the program, and a
// port has no other log.
func logPanic(port string, v any) {
	slog.Error("a handshake panicked", slog.String("port", port), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
}

// establish stores the certificates of a finished handshake: from here on the client is
// known to hold the key. It checks them, and the address, by the current configuration, as the
// port may have been reconfigured meanwhile.
func (p *Port) establish(c *Conn, s *state, cs *tls.ConnectionState) error {
	h := c.raw.handshake
	h.releasePlace() // what follows may wait for a responder
	fromHandshake := h.verified
	c.verified.Store(&fromHandshake)
	c.certificates = slices.Clone(cs.PeerCertificates) // a copy: every handler can change r.TLS
	c.serverName = cs.ServerName
	c.version, c.resumed, c.protocol = cs.Version, cs.DidResume, cs.NegotiatedProtocol
	c.http2 = c.protocol == "h2"
	c.openedAt = time.Now()
	if age := s.config.Limits.ConnectionAge; age > 0 {
		c.lifetime = age - age/20 + rand.N(age/10+1) // ± 5 %, so that clients do not reconnect all at once
	}
	c.established.Store(true) // before verifying: a Reconfigure from here on sees the connection
	current := &p.state.Load().config
	if err := c.checkAddress(current); err != nil {
		return err
	}
	if !c.sentCertificate() {
		return nil
	}
	ctx, cancel := context.WithDeadline(context.Background(), h.end)
	defer cancel()
	verified, err := c.VerifiedBy(ctx, current.Trust)
	if err == nil {
		c.remember(current.Trust, verified)
	}
	return err
}

// reasonFor returns the reason of a handshake that failed. It is empty where the client or the
// network ended it: the port refused no client then. The error is err, or a refusal that says
// more than crypto/tls.
func reasonFor(err error, raw *rawConn, s *state, cs *tls.ConnectionState, replied bool, read int) (reason.Reason, error) {
	if err == errChallenge {
		return "", err
	}
	if refusal, ok := errors.AsType[*reason.Refusal](err); ok {
		return refusal.Reason, err
	}
	if refusal := refuseProxyHeader(err, raw.Conn.RemoteAddr()); refusal != nil {
		return refusal.Reason, refusal
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return reason.Timeout, err
	}
	if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return "", err
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || !replied || s.config.ClientAuth == None {
		return "", err
	}
	if s.config.ClientAuth == Require && err.Error() == noCertificateText {
		return reason.NoCertificate, err
	}
	if read > maxClientHandshake {
		return reason.TooLarge, err
	}
	if len(cs.PeerCertificates) > 0 {
		if _, refused := trustaccess.VerifyLocal(s.config.Trust, cs.PeerCertificates); refused != nil {
			if refusal, ok := errors.AsType[*reason.Refusal](refused); ok {
				refusal.Err = err // crypto/tls gave up before VerifyConnection
				return refusal.Reason, refusal
			}
		}
	}
	return reason.BadCertificate, err
}

// noCertificateText is the one error of crypto/tls that is matched by its text: it has no
// type, and only crypto/tls itself sends the alert certificate_required (RFC 8446 section
// 6.2). A test pins the text; with another one the client is refused all the same, with the
// reason bad-certificate.
const noCertificateText = "tls: client didn't provide a certificate"

// maxHandshake is more than any acceptable client sends in its handshake.
const maxClientHandshake = 192 << 10

// answerPlainHTTP answers a client that sends HTTP without TLS, as net/http does.
func answerPlainHTTP(err error) {
	header, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || header.Conn == nil {
		return
	}
	switch string(header.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port serves HTTPS only.\n")
	}
}

const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 64 << 10
)

// closeAfterAlert closes a connection so that the client can read the alert: closing with
// unread bytes would reset the connection, and the alert would be lost.
func closeAfterAlert(raw *rawConn) {
	defer raw.Close()
	half, ok := raw.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	raw.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, raw.Conn, lingerBytes)
}
