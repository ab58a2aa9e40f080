package storetest

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP proxy between a store and its server.
type Proxy struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	conns   []net.Conn
	gate    chan struct{} // closed: the connections that are open now pass nothing on, and are not closed
	trouble Trouble
	healed  chan struct{} // closed at the end of the trouble
}

// Trouble is what is wrong with the line.
type Trouble int

// None: nothing is. Refusing: connections are closed, new ones too. Silent: nothing passes in either direction, and nothing is
// closed; it passes when the trouble ends, as TCP sends it again. Slow: 64 KiB pass in a second. Cutting: connections are closed in
// the middle of an answer of more than 24 KiB.
const (
	None Trouble = iota
	Refusing
	Silent
	Slow
	Cutting
	troubles
)

const (
	slowRate = 64 << 10 // bytes a second
	cutAfter = 24 << 10 // bytes from the server
)

// Make begins some trouble, or ends it.
func (p *Proxy) Make(t Trouble) {
	p.mu.Lock()
	close(p.healed)
	p.trouble, p.healed = t, make(chan struct{})
	p.mu.Unlock()
	if t == Refusing {
		p.Cut()
	}
}

// now returns the trouble, and a channel that is closed when it ends.
func (p *Proxy) now() (Trouble, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble, p.healed
}

// NewProxy returns a proxy that ends with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: l, target: target, gate: make(chan struct{}), healed: make(chan struct{})}
	go p.accept()
	t.Cleanup(func() {
		l.Close()
		p.Make(None)
		p.Cut()
	})
	return p
}

// Addr returns the address of the proxy, HOST:PORT.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

func (p *Proxy) accept() {
	for {
		a, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		p.conns = append(p.conns, a)
		p.mu.Unlock()
		go p.connect(a)
	}
}

// connect connects a client with the server, when the trouble lets it.
func (p *Proxy) connect(a net.Conn) {
	switch trouble, healed := p.now(); trouble {
	case Refusing:
		a.Close()
		return
	case Silent: // the client may have given up, and the server must notice
		<-healed
	}
	b, err := net.Dial("tcp", p.target)
	if err != nil {
		a.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, b)
	gate := p.gate
	p.mu.Unlock()
	go p.pass(a, b, gate, false)
	go p.pass(b, a, gate, true)
}

// Swallow makes black holes of the connections that are open now. New ones work.
func (p *Proxy) Swallow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.gate)
	p.gate = make(chan struct{})
}

// pass copies bytes until gate is closed. From then on it drops them. down is the direction from the server.
func (p *Proxy) pass(from, to net.Conn, gate <-chan struct{}, down bool) {
	buffer := make([]byte, 8<<10)
	answer := 0
	for {
		n, err := from.Read(buffer)
		switch trouble, healed := p.now(); {
		case trouble == Silent:
			<-healed
		case trouble == Slow:
			time.Sleep(time.Duration(n) * time.Second / slowRate)
		case trouble == Cutting && down:
			if answer += n; answer > cutAfter {
				from.Close()
				to.Close()
				return
			}
		}
		select {
		case <-gate:
			if err != nil {
				return // the other end gets none of it
			}
			continue
		default:
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				from.Close()
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				from.Close()
			}
			to.Close()
			return
		}
	}
}

// Cut closes all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}
