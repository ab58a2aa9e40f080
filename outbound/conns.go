package outbound

import (
	"net"
	"sync"
)

// conns tracks the open connections of one pool. http.Transport closes idle connections
// only when CloseIdleConnections is called at the right moment; closeAll closes the rest.
type conns struct {
	mu     sync.Mutex
	open   map[*conn]struct{}
	closed bool
}

// add tracks a new connection. After refuseNew it closes the connection at once.
func (s *conns) add(raw net.Conn) (*conn, error) {
	c := &conn{Conn: raw, owner: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		raw.Close()
		return nil, net.ErrClosed
	}
	if s.open == nil {
		s.open = map[*conn]struct{}{}
	}
	s.open[c] = struct{}{}
	return c, nil
}

func (s *conns) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// refuseNew makes add refuse connections.
func (s *conns) refuseNew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// closeAll closes the open connections.
func (s *conns) closeAll() {
	s.mu.Lock()
	all := make([]*conn, 0, len(s.open))
	for c := range s.open {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

func (s *conns) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}
