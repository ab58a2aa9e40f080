package ports

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/connlimit"
	"github.com/mtlsguard/mtlsguard/reason"
)

// listener accepts connections and returns those whose handshake is finished.
type listener struct {
	port      *Port
	inner     net.Listener
	accepted  chan net.Conn
	anonymous chan net.Conn // accepted on a Request port, without a certificate
	http1     chan net.Conn // accepted, without HTTP/2
	done      chan struct{}
	draining  atomic.Bool   // no more connections are accepted, and handshakes under way go on
	accepting chan struct{} // closed when accepting has ended
	underWay  atomic.Int64  // handshakes, until their connection has a server
	once      sync.Once
	err       error // why accepting ended; read after done
}

// Wrap is Listen over a listener of the caller's, which must return connections without TLS,
// as Config.Listen describes. Closing the result closes inner.
func (p *Port) Wrap(inner net.Listener) net.Listener {
	l := &listener{port: p, inner: inner, accepted: make(chan net.Conn), anonymous: make(chan net.Conn), http1: make(chan net.Conn), done: make(chan struct{}), accepting: make(chan struct{})}
	p.mu.Lock()
	p.listener, p.addr = l, inner.Addr()
	p.mu.Unlock()
	p.sweepClock.Store(int64(time.Since(epoch)))
	go l.accept()
	go l.sweep()
	go l.recheck()
	return l
}

// Accept returns the next finished connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case c := <-l.anonymous:
		return c, nil
	case c := <-l.http1:
		return c, nil
	case <-l.done:
		return nil, l.err
	}
}

// queueFor returns the channel on which a finished connection waits for its server.
func (l *listener) queueFor(c *Conn) chan<- net.Conn {
	if !c.http2 {
		return l.http1
	}
	if l.port.state.Load().config.ClientAuth == Request && !c.sentCertificate() {
		return l.anonymous
	}
	return l.accepted
}

// offer waits until a server accepts a finished connection from a queue.
func (l *listener) offer(queue chan<- net.Conn, c net.Conn) {
	select {
	case queue <- c:
	case <-l.done:
		c.Close()
	}
}

// Addr returns the address of the listener.
func (l *listener) Addr() net.Addr { return l.inner.Addr() }

// Close stops accepting and ends the handshakes under way.
func (l *listener) Close() error {
	l.stop(net.ErrClosed)
	return nil
}

func (l *listener) stop(err error) {
	l.once.Do(func() {
		l.err = err
		close(l.done)
		l.inner.Close()
		l.port.connLimit.Wake()
		l.port.closeUnfinished()
	})
}

func (l *listener) stopped() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// accept takes a slot before it accepts a connection: connections beyond the limit wait in the
// kernel's queue and cost nothing.
func (l *listener) accept() {
	defer close(l.accepting)
	p := l.port
	for pause := time.Duration(0); p.connLimit.Take(l.refusesMore); {
		c, err := l.inner.Accept()
		if err != nil {
			p.connLimit.Give()
			if l.draining.Load() {
				return
			}
			if errors.Is(err, net.ErrClosed) || l.stopped() {
				l.stop(net.ErrClosed)
				return
			}
			pause = min(max(2*pause, 5*time.Millisecond), time.Second) // such as no file descriptors left: this may pass
			time.Sleep(pause)
			continue
		}
		pause = 0
		if _, encrypted := c.(*tls.Conn); encrypted {
			p.connLimit.Give()
			c.Close()
			report(p.state.Load(), Handshake{Port: p.name, Remote: c.RemoteAddr(), Err: errEncrypted})
			continue
		}
		s, peer := p.state.Load(), c.RemoteAddr()
		raw := &rawConn{Conn: c, remote: peer, handshake: &handshake{places: p.handshakes}, conn: &Conn{port: p, id: connIDs.Add(1)}}
		raw.conn.raw = raw
		if contains(s.config.ProxyProtocolFrom, ipOf(peer)) {
			raw.proxy = peer // its caller's address is in the header, which the handshake reads
		} else if refusal := p.admit(raw, s); refusal != nil {
			p.connLimit.Give()
			c.Close()
			report(s, Handshake{Port: p.name, Remote: peer, Reason: refusal.Reason, Err: refusal})
			continue
		}
		p.mu.Lock()
		p.conns[raw.conn] = struct{}{}
		p.mu.Unlock()
		l.underWay.Add(1)
		go l.handshake(raw)
	}
}

// admit counts a connection without PROXY header for its address, or returns why it is refused.
func (p *Port) admit(raw *rawConn, s *state) *reason.Refusal {
	if refusal := s.config.Addresses.refuse(ipOf(raw.Conn.RemoteAddr())); refusal != nil {
		return refusal
	}
	addr := connlimit.AddrOf(raw.Conn.RemoteAddr())
	if !p.connLimit.TakeAddr(addr) {
		return reason.Refuse(reason.Limit, p.connLimit.Describe(addr, "limits.connections_per_ip"))
	}
	raw.counted = true
	return nil
}

// release gives back the places of a connection that is closed.
func (p *Port) release(raw *rawConn) {
	p.mu.Lock()
	delete(p.conns, raw.conn)
	counted := raw.counted
	p.mu.Unlock()
	if counted {
		p.connLimit.GiveAddr(connlimit.AddrOf(raw.RemoteAddr()))
	}
	p.connLimit.Give()
}

const (
	sweepEvery  = time.Second
	rotateEvery = 24 * time.Hour
)

// sweep runs until the listener is closed and no connection is left. It never blocks and
// verifies nothing, because every deadline depends on it.
func (l *listener) sweep() {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	s := &sweeper{listener: l, tick: tick.C, done: l.done, rotated: time.Now()}
	for !ballast.CompareAndSwap(false, true) {
		if !s.round() {
			return
		}
	}
	defer ballast.Store(false)
	holdStack(ballastFrames, false, func() {
		for s.round() {
		}
	})
}

// sweeper is the state of a listener's sweeps.
type sweeper struct {
	*listener
	tick    <-chan time.Time
	done    <-chan struct{} // nil once the listener is closed
	rotated time.Time       // the keys of session tickets
}

// round waits for the next sweep, and reports whether there are more.
func (s *sweeper) round() bool {
	p := s.port
	select {
	case <-s.done:
		s.done = nil
		p.sweepClock.Store(-1) // from here on every deadline is set at once
		for _, c := range p.connections() {
			c.raw.applyDeadlines()
		}
	case now := <-s.tick:
		if s.done == nil && p.ConnCount() == 0 {
			return false
		}
		if s.done != nil {
			p.sweepClock.Store(int64(now.Sub(epoch)))
		}
		if now.Sub(s.rotated) >= rotateEvery {
			s.rotated = now
			_ = p.state.Load().rotate() // without a new key the old one stays
		}
		p.sweep(now)
	}
	return true
}

// sweep sets the deadlines that come near, ends connections and streams that wait too long
// for their client, and retires old connections.
func (p *Port) sweep(now time.Time) {
	p.sweeping.Lock() // a port that listens again may still have a former sweep
	defer p.sweeping.Unlock()
	limits := p.state.Load().config.Limits
	for _, c := range p.connections() {
		c.raw.applyDeadlines()
		c.sweep(now, limits)
	}
}
