package reverse

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/mtlsguard/mtlsguard/internal/tunnel"
	"github.com/mtlsguard/mtlsguard/reason"
)

// hijacker lets a handler take a request over as a connection, as it would with
// HTTP/1.1. What the handler writes on it begins with its answer, 101 or not.
type hijacker struct {
	steady
	r      *http.Request // the stream
	caller *tunnel.Caller
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
	forget := h.server.watch(h.caller, c)
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

// watched is a connection that a handler took: no request will ask again whether its
// caller is believed now (G4).
type watched struct {
	caller *tunnel.Caller
	conn   net.Conn
	none   bool // the caller had no certificate to begin with
}

func (s *Server) watch(caller *tunnel.Caller, c net.Conn) (forget func()) {
	_, err := caller.Verify(context.Background())
	w := &watched{caller: caller, conn: c, none: isNone(err)}
	s.mu.Lock()
	s.taken[w] = struct{}{}
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.taken, w)
		s.mu.Unlock()
	}
}

// judge closes a connection whose caller is not believed any more.
func (w *watched) judge() {
	_, err := w.caller.Verify(context.Background())
	if err != nil && !(w.none && isNone(err)) {
		w.conn.Close()
	}
}

func isNone(err error) bool { return err != nil && wordOf(err) == reason.NoCertificate }
