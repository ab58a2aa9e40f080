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

	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
)

// Handshake is one handshake as it ended.
type Handshake struct {
	Port       string
	Remote     net.Addr
	ServerName string              // as the client sent it; empty where the handshake did not get that far
	Reason     reason.Reason       // why we refused the client; empty where we did not
	Err        error               // what ended it; nil for a finished one. With no Reason it was the client, the network, or Config.Certificate
	Presented  []*x509.Certificate // as far as they could be read, believed or not; leaf first
	Version    uint16              // of TLS
	Resumed    bool
	Duration   time.Duration
}

// handshake takes one accepted connection through TLS, and delivers or closes it.
func (l *listener) handshake(raw *rawConn) {
	defer func() {
		// The last resort: an error of Config.Certificate, say, that panics when it is looked into.
		if v := recover(); v != nil {
			logPanic(l.port.name, v)
			raw.Close()
		}
	}()
	p, s := l.port, l.port.state.Load()
	defer raw.forget()
	start := time.Now()
	raw.until = start.Add(s.config.Limits.Handshake)
	raw.idle = s.config.Limits.Idle
	raw.SetDeadline(raw.until)
	t := tls.Server(raw, s.forConn(raw))
	err := p.shake(t, raw, s)
	cs := t.ConnectionState()
	raw.leave()
	replied, read := raw.replied, raw.read
	raw.gate = nil // from here on the connection belongs to whoever accepts it
	event := Handshake{
		Port: p.name, Remote: raw.RemoteAddr(), ServerName: cs.ServerName, Err: err, Presented: slices.Clone(cs.PeerCertificates),
		Version: cs.Version, Resumed: cs.DidResume, Duration: time.Since(start),
	}
	if err != nil {
		event.Reason = classify(err, s, &cs, replied, read)
		tell(s, event)
		answerPlainHTTP(err)
		linger(raw)
		return
	}
	if !tell(s, event) {
		raw.Close() // fail closed: nobody may come in unseen
		return
	}
	raw.SetDeadline(time.Time{})
	select {
	case l.queue(raw.conn) <- t:
	case <-l.done:
		t.Close()
	}
}

// shake does the handshake. A panic of crypto/tls, or of what the configuration
// plugs into it, ends this handshake and nothing else.
func (p *Port) shake(t *tls.Conn, raw *rawConn, s *state) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("ports: %s: the handshake panicked: %v", p.name, v)
			logPanic(p.name, v)
		}
	}()
	if err := t.Handshake(); err != nil {
		return err
	}
	cs := t.ConnectionState()
	return p.establish(raw.conn, s, &cs)
}

// tell reports a handshake. It is false when whoever was told panicked.
func tell(s *state, event Handshake) (ok bool) {
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

// logPanic goes to the program's default log: a panic is a defect of the program,
// and there is nobody else to tell.
func logPanic(port string, v any) {
	slog.Error("a handshake panicked", slog.String("port", port), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
}

// establish notes the certificates of a finished handshake: from here on the client is
// known to hold the key. It asks the trust that is in force now: the port may have been
// reconfigured meanwhile.
func (p *Port) establish(c *Conn, s *state, cs *tls.ConnectionState) error {
	c.raw.leave() // what follows may wait for a responder
	fromHandshake := c.raw.verified
	c.verified.Store(&fromHandshake)
	c.presented = slices.Clone(cs.PeerCertificates) // ours alone: r.TLS is open to every handler
	c.serverName = cs.ServerName
	c.openedAt = time.Now()
	if age := s.config.Limits.ConnectionAge; age > 0 {
		c.retireAt = time.Now().Add(age - age/20 + rand.N(age/10+1)) // ± 5 %, so that no crowd comes back at once
	}
	c.established.Store(true) // before asking: whoever reconfigures from here on sees the connection
	if !c.sentCertificate() {
		return nil
	}
	ctx, cancel := context.WithDeadline(context.Background(), c.raw.until)
	defer cancel()
	current := p.state.Load().config.Trust
	verified, err := c.VerifiedBy(ctx, current)
	if err == nil {
		c.remember(current, verified)
	}
	return err
}

// classify finds the word for a handshake that failed. None is for what the
// client or the network ended: nobody was refused then.
func classify(err error, s *state, cs *tls.ConnectionState, replied bool, read int) reason.Reason {
	if refusal, ok := errors.AsType[*reason.Refusal](err); ok {
		return refusal.Reason
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return reason.Timeout
	}
	if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return ""
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || !replied || s.config.ClientAuth == None {
		return ""
	}
	if s.config.ClientAuth == Require && err.Error() == noCertificateText {
		return reason.NoCertificate
	}
	if read > maxHandshake {
		return reason.TooLarge
	}
	if len(cs.PeerCertificates) > 0 {
		if _, refused := trustaccess.VerifyLocal(s.config.Trust, cs.PeerCertificates); refused != nil {
			if refusal, ok := errors.AsType[*reason.Refusal](refused); ok {
				return refusal.Reason // crypto/tls gave up before we were asked
			}
		}
	}
	return reason.BadCertificate
}

// noCertificateText is the one error of crypto/tls that has to be known by its
// text: it has no type, and asking crypto/tls to insist is what makes it send the
// alert certificate_required (RFC 8446 section 6.2). A test holds it; with any
// other text the refusal is the same and the word is bad-certificate.
const noCertificateText = "tls: client didn't provide a certificate"

// maxHandshake is more than any acceptable client sends in its handshake.
const maxHandshake = 192 << 10

// answerPlainHTTP tells a client that speaks HTTP without TLS, as net/http does.
func answerPlainHTTP(err error) {
	header, ok := errors.AsType[tls.RecordHeaderError](err)
	if !ok || header.Conn == nil {
		return
	}
	switch string(header.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		io.WriteString(header.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks HTTPS only.\n")
	}
}

const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 64 << 10
)

// linger closes so that the client can read our last words: closing with unread
// bytes would reset the connection and take the alert with it.
func linger(raw *rawConn) {
	defer raw.Close()
	half, ok := raw.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	raw.Conn.SetReadDeadline(time.Now().Add(lingerTime))
	io.CopyN(io.Discard, raw.Conn, lingerBytes)
}
