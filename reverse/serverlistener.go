package reverse

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
)

// streams is the listener for connections that come through the tunnels end to end.
// Their remote address is the client's, as the gateway saw it.
type streams struct{ *chanlisten.Listener }

func newStreams() *streams { return &streams{chanlisten.New(tunnelAddr{})} }

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
	wait, cancel := context.WithTimeout(r.Context(), acceptTime)
	defer cancel()
	if s.Hand(wait, c) != nil {
		w.WriteHeader(http.StatusServiceUnavailable) // nobody reads it where the gateway is gone
		return
	}
	w.WriteHeader(http.StatusOK)
	if http.NewResponseController(w).Flush() != nil {
		c.Close()
	}
	carry(w, r, to, from)
}
