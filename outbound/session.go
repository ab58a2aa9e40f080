package outbound

import (
	"crypto/tls"
	"sync"
)

const maxSessions = 64 // servers

// sessions holds the TLS sessions of one pool, and so of one identity and one set of roots:
// the last session for each address.
type sessions struct {
	mu  sync.Mutex
	all map[string]session
}

// session is a session to resume, with the facts of its first handshake.
type session struct {
	state       *tls.ClientSessionState
	asked, sent bool
}

func (s *sessions) get(addr string) (session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.all[addr]
	return found, ok
}

func (s *sessions) put(addr string, one session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.state == nil {
		delete(s.all, addr)
		return
	}
	if _, there := s.all[addr]; !there && len(s.all) >= maxSessions {
		for other := range s.all { // any other
			delete(s.all, other)
			break
		}
	}
	if s.all == nil {
		s.all = map[string]session{}
	}
	s.all[addr] = one
}

// sessionCache is the tls.ClientSessionCache of one connection. The key of crypto/tls is the
// server's name without its port, so it is not used.
type sessionCache struct {
	*sessions
	addr string
	h    *handshake
}

func (s *sessionCache) Get(string) (*tls.ClientSessionState, bool) {
	found, ok := s.get(s.addr)
	if !ok {
		return nil, false
	}
	s.h.mu.Lock()
	s.h.resumed = found
	s.h.mu.Unlock()
	return found.state, true
}

func (s *sessionCache) Put(_ string, state *tls.ClientSessionState) {
	asked, sent := s.h.askedAndSent()
	if state != nil && !asked && s.h.identity != nil && s.h.pool.mustBeAsked {
		return // a resumed session would pass as one in which the server asked
	}
	s.put(s.addr, session{state, asked, sent})
}
