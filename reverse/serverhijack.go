package reverse

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/mtlsguard/mtlsguard/reverse/internal/wire"
)

// hijackWriter lets a handler hijack a request for an upgrade, as with HTTP/1.1. The first bytes
// that the handler writes on the connection are its answer.
type hijackWriter struct {
	tunnelWriter
	stream *http.Request
	caller *forwardedCaller
	server *Server
	remote net.Addr

	mu       sync.Mutex
	hijacked bool
	ended    chan struct{} // closed when the connection has ended
}

// Hijack implements http.Hijacker.
func (h *hijackWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.hijacked:
		return nil, nil, http.ErrHijacked
	case h.begun:
		return nil, nil, errors.New("reverse: Hijack was called after the answer had begun")
	}
	h.hijacked, h.begun, h.err = true, true, http.ErrHijacked
	w := h.ResponseWriter
	clear(w.Header())
	w.Header()[wire.HeaderKind] = []string{wire.KindHijacked}
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil, nil, err
	}
	c := wire.NewDuplex(tunnelAddr{}, h.remote)
	h.ended = make(chan struct{})
	remove := h.server.addHijacked(h.stream.Context(), h.caller, c)
	go func() {
		defer close(h.ended)
		defer remove()
		c.Carry(w, h.stream)
	}()
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// wait keeps the stream open until a hijacked connection has ended.
func (h *hijackWriter) wait() {
	h.mu.Lock()
	ended := h.ended
	h.mu.Unlock()
	if ended != nil {
		<-ended
	}
}
