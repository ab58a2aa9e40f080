package reverse

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// streams is the listener for connections that come through the tunnels end to end.
type streams struct {
	accepted chan net.Conn
	done     chan struct{}
	once     sync.Once
}

func newStreams() *streams {
	return &streams{accepted: make(chan net.Conn), done: make(chan struct{})}
}

// Accept returns the next connection. Its remote address is the client's, as the
// gateway saw it.
func (s *streams) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.done:
		return nil, net.ErrClosed
	}
}

// Close takes no more connections; those that are open stay.
func (s *streams) Close() error {
	s.once.Do(func() { close(s.done) })
	return nil
}

func (s *streams) Addr() net.Addr { return tunnelAddr{} }

// tunnelAddr is where a tunnel's connections come in.
type tunnelAddr struct{}

func (tunnelAddr) Network() string { return "tunnel" }
func (tunnelAddr) String() string  { return "tunnel" }

// acceptTime is how long a connection waits for somebody to accept it.
const acceptTime = 5 * time.Second

// serve hands a stream to whoever listens, and carries it to its end.
func (s *streams) serve(w http.ResponseWriter, r *http.Request, remote string) {
	var addr net.Addr = tunnelAddr{}
	if a, err := netip.ParseAddrPort(remote); err == nil {
		addr = net.TCPAddrFromAddrPort(a)
	}
	c, to, from := newDuplex(tunnelAddr{}, addr)
	timer := time.NewTimer(acceptTime)
	defer timer.Stop()
	select {
	case s.accepted <- c:
	case <-s.done:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case <-timer.C:
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case <-r.Context().Done():
		return
	}
	w.WriteHeader(http.StatusOK)
	if http.NewResponseController(w).Flush() != nil {
		c.Close()
	}
	carry(w, r, to, from)
}
