package reverse

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/forwarded"
	"github.com/mtlsguard/mtlsguard/internal/problem"
	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/trust"
)

// serverEnd is the server's end of a tunnel.
type serverEnd struct {
	*link
	server    *Server
	addr      string // of the gateway, as configured
	presented []*x509.Certificate
	gateway   atomic.Pointer[trust.Verified]
	welcome   atomic.Bool
	welcomed  chan struct{}
	leaving   chan struct{} // closed when another tunnel should take its place
	leave     sync.Once
	forgotten chan struct{} // closed when the server does not know it any more
	drained   atomic.Bool   // drain was wished for
	handlers  quota
	own       *presentation
	renewAt   time.Time // when a certificate of either end comes near its end; zero: never

	mu      sync.Mutex
	speaker *speaker // nil before the control exchange
	said    bool     // drain was said
}

// keep keeps one tunnel to a gateway until ctx ends.
func (s *Server) keep(ctx context.Context, addr string) {
	var old *serverEnd // serves on until there is another in its place
	pauses := backoff{s.config.BackoffMin, s.config.BackoffMax}
	for failures := 0; ctx.Err() == nil; {
		began := time.Now()
		t, err := s.connect(ctx, addr)
		if err == nil {
			if old != nil {
				old.drain()
			}
			old = nil
			select {
			case <-t.gone:
			case <-t.leaving:
				old = t
			case <-ctx.Done():
				return
			}
		} else if ctx.Err() == nil {
			s.observe(Event{Kind: Refused, Services: s.config.Services, Remote: addr, Reason: refusalOf(err), Err: err})
		}
		// A gateway that welcomes and then breaks off is no success.
		if bound := pauses.bound(failures); err == nil && time.Since(began) > bound {
			failures = 0
		} else {
			failures++
		}
		if !pauses.pause(ctx, max(0, failures-1)) {
			return
		}
	}
}

// refusalOf is the word of a refusal; empty where it was the network.
func refusalOf(err error) reason.Reason {
	if refusal, ok := errors.AsType[*reason.Refusal](err); ok {
		return refusal.Reason
	}
	return ""
}

// connect dials, registers, and waits until the gateway says that it will send
// requests.
func (s *Server) connect(ctx context.Context, addr string) (*serverEnd, error) {
	ctx, cancel := context.WithTimeout(ctx, helloTime)
	defer cancel()
	t, err := s.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.tunnels[t] = struct{}{}
	s.mu.Unlock()
	stop := context.AfterFunc(s.stopping, func() {
		if !t.welcome.Load() {
			t.Close() // nobody knows it yet: there is nothing to drain
		}
	})
	go func() {
		<-t.gone
		stop()
		s.mu.Lock()
		delete(s.tunnels, t)
		s.mu.Unlock()
		close(t.forgotten)
		if t.welcome.Load() {
			s.observe(Event{Kind: Gone, Services: s.config.Services, Remote: addr, Certificate: *t.gateway.Load()})
		}
	}()
	if err := s.links.Hand(ctx, t); err != nil {
		t.Close()
		return nil, err
	}
	select {
	case <-t.welcomed:
		s.observe(Event{Kind: Registered, Services: s.config.Services, Remote: addr, Certificate: *t.gateway.Load()})
		s.readyOnce()
		return t, nil
	case <-t.gone:
		return nil, fmt.Errorf("reverse: %s broke off before it said welcome", addr)
	case <-ctx.Done():
		t.Close()
		return nil, fmt.Errorf("reverse: %s did not say welcome: %w", addr, ctx.Err())
	}
}

func (s *Server) readyOnce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.ready:
	default:
		close(s.ready)
	}
}

// dial makes a connection whose other end is a gateway, and registers.
func (s *Server) dial(ctx context.Context, addr string) (*serverEnd, error) {
	dial := s.config.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	raw, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("reverse: %w", err)
	}
	receiver := s.receiver.Load()
	var gateway trust.Verified
	own := &presentation{ask: s.config.Certificate}
	c := tls.Client(raw, s.tlsConfig(addr, receiver, &gateway, own))
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, fmt.Errorf("reverse: %s: %w", addr, err)
	}
	buffered, err := s.register(c, addr)
	if err != nil {
		raw.Close()
		return nil, fmt.Errorf("reverse: %s: %w", addr, err)
	}
	now := trustaccess.Now(receiver.GatewayTrust())
	t := &serverEnd{
		link: newLink(c, buffered), addr: addr, presented: c.ConnectionState().PeerCertificates,
		welcomed: make(chan struct{}), leaving: make(chan struct{}), forgotten: make(chan struct{}),
		handlers: quota{most: int64(s.config.Streams)}, own: own,
		renewAt: earliest(renewalOf(now, own.end()), renewalOf(now, endOfVerified(gateway))),
	}
	t.server = s
	t.gateway.Store(&gateway)
	trustaccess.Remember(receiver.GatewayTrust(), gateway) // the handshake is finished: the gateway holds the key
	return t, nil
}

// tlsConfig is a fresh one for each connection: nothing is resumed, and every gateway
// is judged by what is in force now. There is no way around TLS, and no root but the
// anchors for gateways (K3).
func (s *Server) tlsConfig(addr string, receiver *forwarded.Receiver, gateway *trust.Verified, own *presentation) *tls.Config {
	roots := x509.NewCertPool()
	for _, a := range receiver.GatewayTrust().Anchors() {
		roots.AddCert(a)
	}
	name := s.config.ServerName
	if name == "" {
		name, _, _ = net.SplitHostPort(addr)
	}
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		RootCAs:              roots,
		ServerName:           name,
		Time:                 func() time.Time { return trustaccess.Now(receiver.GatewayTrust()) },
		NextProtos:           []string{"http/1.1"},
		GetClientCertificate: own.present,
		VerifyConnection: func(cs tls.ConnectionState) error {
			var err error
			*gateway, err = judgeGateway(receiver, cs.PeerCertificates)
			return err
		},
	}
}

// judgeGateway believes a gateway's certificate, or not.
func judgeGateway(receiver *forwarded.Receiver, presented []*x509.Certificate) (trust.Verified, error) {
	v, err := receiver.GatewayTrust().Verify(context.Background(), presented)
	if err != nil {
		return trust.Verified{}, err
	}
	if !receiver.IsGateway(v) {
		return trust.Verified{}, errNoGateway
	}
	return v, nil
}

// mostAnswer bounds what is read of a refusal.
const mostAnswer = 4 << 10

// register says hello, and returns a reader with what follows the answer.
func (s *Server) register(c net.Conn, addr string) (*bufio.Reader, error) {
	r, err := hello{services: s.config.Services, streams: s.config.Streams}.request(addr)
	if err != nil {
		return nil, err
	}
	if err := r.Write(c); err != nil {
		return nil, err
	}
	head := &io.LimitedReader{R: c, N: headerBytes}
	buffered := bufio.NewReader(head)
	res, err := http.ReadResponse(buffered, r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusSwitchingProtocols && strings.EqualFold(res.Header.Get("Upgrade"), protocol) {
		return buffered, nil
	}
	var p problem.Document
	if body, err := io.ReadAll(io.LimitReader(res.Body, mostAnswer)); err == nil && json.Unmarshal(body, &p) == nil && p.Reason.Known() {
		return nil, &reason.Refusal{Reason: p.Reason, Detail: "the gateway refused the registration"}
	}
	return nil, fmt.Errorf("the gateway answered %d", res.StatusCode)
}

// converse is the control exchange, which the gateway begins.
func (t *serverEnd) converse(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	t.mu.Lock()
	if t.speaker != nil {
		t.mu.Unlock()
		w.WriteHeader(http.StatusConflict)
		return
	}
	t.speaker = &speaker{w: w, flush: control.Flush}
	t.mu.Unlock()
	w.Header()[headerKind] = []string{kindControl}
	w.WriteHeader(http.StatusOK)
	defer t.speaker.end()
	defer t.Close() // without it the gateway has no say
	if control.Flush() != nil {
		return
	}
	_ = listen(r.Body, func(word string) bool {
		switch word {
		case wordWelcome:
			if !t.welcome.Swap(true) {
				close(t.welcomed)
			}
			if t.drained.Load() {
				t.drain()
			}
		case wordRenew, wordBye:
			t.leave.Do(func() { close(t.leaving) })
		case wordAck:
		default:
			return false
		}
		return true
	})
}

// drain asks the gateway to send no more. The gateway closes the tunnel when the last
// answer is through.
func (t *serverEnd) drain() {
	t.drained.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.speaker == nil || !t.welcome.Load() || t.said {
		return
	}
	t.said = true
	go t.speaker.say(wordDrain)
}
