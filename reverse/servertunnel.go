package reverse

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/trustaccess"
	"github.com/mtlsguard/mtlsguard/reason"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
	"github.com/mtlsguard/mtlsguard/trust"
)

// serverTunnel is the server's end of a tunnel.
type serverTunnel struct {
	*wire.Link
	server           *Server
	addr             string // of the gateway, as configured
	peerCertificates []*x509.Certificate
	gateway          atomic.Pointer[trust.Verified]
	welcomed         atomic.Bool
	ready            chan struct{} // closed with the first Welcome
	renewal          chan struct{} // closed when another tunnel should replace this one
	renewOnce        sync.Once
	removed          chan struct{} // closed when the server's list does not have it any more
	drainWanted      atomic.Bool
	handlers         handlerLimit
	certificate      *ownCertificate
	renewAt          time.Time // before a certificate of either end expires; zero: never

	mu        sync.Mutex
	control   *wire.ControlWriter // nil before the control stream
	drainSent bool
}

// keepConnected keeps one tunnel to a gateway until ctx ends.
func (s *Server) keepConnected(ctx context.Context, addr string) {
	var old *serverTunnel // serves until another tunnel replaces it
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
			case <-t.Closed():
			case <-t.renewal:
				old = t
			case <-ctx.Done():
				return
			}
		} else if ctx.Err() == nil {
			s.report(Event{Kind: Refused, Services: s.config.Services, Remote: addr, Reason: knownReason(err), Err: err})
		}
		// A tunnel that ends soon after its start counts as a failure.
		if err == nil && time.Since(began) > pauses.bound(failures) {
			failures = 0
		} else {
			failures++
		}
		if !pauses.pause(ctx, max(0, failures-1)) {
			return
		}
	}
}

// connect dials, registers, and waits until the gateway has sent Welcome.
func (s *Server) connect(ctx context.Context, addr string) (*serverTunnel, error) {
	ctx, cancel := context.WithTimeout(ctx, wire.HandshakeTimeout)
	defer cancel()
	t, err := s.dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.tunnels[t] = struct{}{}
	s.mu.Unlock()
	stop := context.AfterFunc(s.dialling, func() {
		if !t.welcomed.Load() {
			t.Close() // it has no requests to drain
		}
	})
	go func() {
		<-t.Closed()
		stop()
		s.mu.Lock()
		delete(s.tunnels, t)
		s.mu.Unlock()
		close(t.removed)
		if t.welcomed.Load() {
			s.report(Event{Kind: Gone, Services: s.config.Services, Remote: addr, Certificate: *t.gateway.Load()})
		}
	}()
	if err := s.links.Hand(ctx, t); err != nil {
		t.Close()
		return nil, err
	}
	select {
	case <-t.ready:
		s.report(Event{Kind: Registered, Services: s.config.Services, Remote: addr, Certificate: *t.gateway.Load()})
		s.readyOnce.Do(func() { close(s.ready) })
		return t, nil
	case <-t.Closed():
		return nil, fmt.Errorf("reverse: %s closed the connection before it accepted the registration", addr)
	case <-ctx.Done():
		t.Close()
		return nil, fmt.Errorf("reverse: %s did not accept the registration in time: %w", addr, ctx.Err())
	}
}

// serveControl exchanges control messages on the stream that the gateway has begun.
func (t *serverTunnel) serveControl(w http.ResponseWriter, r *http.Request) {
	response := http.NewResponseController(w)
	t.mu.Lock()
	if t.control != nil {
		t.mu.Unlock()
		w.WriteHeader(http.StatusConflict)
		return
	}
	t.control = wire.NewControlWriter(w, response.Flush)
	t.mu.Unlock()
	w.Header()[wire.HeaderKind] = []string{wire.KindControl}
	w.WriteHeader(http.StatusOK)
	defer t.control.Close()
	defer t.Close() // a tunnel without its control stream cannot be drained
	if response.Flush() != nil {
		return
	}
	_ = wire.ReadControl(r.Body, func(message string) bool {
		switch message {
		case wire.Welcome:
			if !t.welcomed.Swap(true) {
				close(t.ready)
			}
			if t.drainWanted.Load() {
				t.drain()
			}
		case wire.Renew, wire.Bye:
			t.renew()
		case wire.Ack:
		default:
			return false
		}
		return true
	})
}

// renew makes keepConnected replace the tunnel.
func (t *serverTunnel) renew() { t.renewOnce.Do(func() { close(t.renewal) }) }

// drain asks the gateway to send no more requests. The gateway closes the tunnel after the
// last answer.
func (t *serverTunnel) drain() {
	t.drainWanted.Store(true)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.control == nil || !t.welcomed.Load() || t.drainSent {
		return
	}
	t.drainSent = true
	go t.control.Send(wire.Drain)
}

// Check implements underway.Work. It verifies the gateway's certificate again.
func (t *serverTunnel) Check(ctx context.Context, wait bool) error {
	receiver := t.server.receiver.Load()
	v, err := trustaccess.VerifyLocal(receiver.GatewayTrust(), t.peerCertificates)
	if err == trustaccess.ErrUndecided && wait {
		v, err = receiver.GatewayTrust().Verify(ctx, t.peerCertificates)
	}
	if err == nil && !receiver.IsGateway(v) {
		err = errNotGateway
	}
	if err != nil {
		if err != trustaccess.ErrUndecided {
			t.server.report(Event{Kind: Refused, Services: t.server.config.Services, Remote: t.addr, Reason: reasonOf(err), Err: err})
		}
		return err
	}
	trustaccess.Remember(receiver.GatewayTrust(), v)
	t.gateway.Store(&v)
	return nil
}

// End implements underway.Work.
func (t *serverTunnel) End(error) { go t.Close() }

var errNotGateway = reason.Refuse(reason.UntrustedGateway, "the certificate has no name or fingerprint of a gateway")
