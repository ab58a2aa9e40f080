package outbound

import (
	"net"
	"sync"
)

// conns are the open connections of one pool. http.Transport closes idle ones only
// when it is asked at the right moment; these are closed when nobody needs them.
type conns struct {
	mu   sync.Mutex
	open map[*conn]struct{}
	shut bool
}

// add takes a new connection in. One that comes after the end is closed at once.
func (s *conns) add(raw net.Conn) (*conn, error) {
	c := &conn{Conn: raw, owner: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		raw.Close()
		return nil, net.ErrClosed
	}
	if s.open == nil {
		s.open = map[*conn]struct{}{}
	}
	s.open[c] = struct{}{}
	return c, nil
}

func (s *conns) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// end lets no more connections in.
func (s *conns) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
}

// closeAll closes what is open.
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

func (s *conns) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}
