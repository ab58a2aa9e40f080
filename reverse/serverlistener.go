package reverse

import (
	"context"
	"net/http"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/chanlisten"
	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
)

// streamListener is the listener for connections that are carried end to end. Their remote
// address is the client's, as the gateway sees it.
type streamListener struct{ *chanlisten.Listener }

func newStreamListener() *streamListener { return &streamListener{chanlisten.New(tunnelAddr{})} }

// tunnelAddr is the local address of connections in a tunnel.
type tunnelAddr struct{}

// Network implements net.Addr.
func (tunnelAddr) Network() string { return "tunnel" }

// String implements net.Addr.
func (tunnelAddr) String() string { return "tunnel" }

// acceptTimeout is how long a connection waits for Accept.
const acceptTimeout = 5 * time.Second

// serve passes a stream to Accept as a connection, and carries it until it ends.
func (l *streamListener) serve(w http.ResponseWriter, r *http.Request, remote string) {
	c := wire.NewDuplex(tunnelAddr{}, remoteAddr(remote))
	ctx, cancel := context.WithTimeout(r.Context(), acceptTimeout)
	defer cancel()
	if l.Hand(ctx, c) != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusOK)
	if http.NewResponseController(w).Flush() != nil {
		c.Close()
	}
	c.Carry(w, r)
}
