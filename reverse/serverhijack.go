package reverse

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync"
)

// hijacker lets a handler take a request over as a connection, as it would with
// HTTP/1.1. What the handler writes on it begins with its answer, 101 or not.
type hijacker struct {
	steady
	r      *http.Request // the stream
	caller *caller
	server *Server
	remote net.Addr

	mu    sync.Mutex
	taken bool
	ended chan struct{}
}

// Hijack implements http.Hijacker.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.taken:
		return nil, nil, http.ErrHijacked
	case h.begun:
		return nil, nil, errors.New("reverse: the answer has begun")
	}
	h.taken, h.begun, h.err = true, true, http.ErrHijacked
	w := h.ResponseWriter
	clear(w.Header())
	w.Header()[headerKind] = []string{kindTaken}
	w.WriteHeader(http.StatusOK)
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil, nil, err
	}
	c, to, from := newDuplex(tunnelAddr{}, h.remote)
	h.ended = make(chan struct{})
	forget := h.server.watchConn(h.r.Context(), h.caller, c)
	go func() {
		defer close(h.ended)
		defer forget()
		carry(w, h.r, to, from)
	}()
	return c, bufio.NewReadWriter(bufio.NewReader(c), bufio.NewWriter(c)), nil
}

// wait keeps the stream open as long as the connection that a handler took.
func (h *hijacker) wait() {
	h.mu.Lock()
	ended := h.ended
	h.mu.Unlock()
	if ended != nil {
		<-ended
	}
}
