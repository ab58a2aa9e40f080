package outbound

import (
	"crypto/tls"
	"sync"
)

const maxSessions = 64 // servers whose last session a pool remembers

// sessions are the TLS sessions of one pool, and so of one identity and one set of
// roots. One is kept for each address, the last.
type sessions struct {
	mu  sync.Mutex
	all map[string]session
}

// session is one to resume, and what the handshake was that it began with.
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
		for any := range s.all { // which one matters little
			delete(s.all, any)
			break
		}
	}
	if s.all == nil {
		s.all = map[string]session{}
	}
	s.all[addr] = one
}

// sessionsFor is the tls.ClientSessionCache of one connection. crypto/tls would key
// by the server's name alone, without its port.
type sessionsFor struct {
	*sessions
	addr string
	h    *handshake
}

func (s *sessionsFor) Get(string) (*tls.ClientSessionState, bool) {
	found, ok := s.get(s.addr)
	if !ok {
		return nil, false
	}
	s.h.mu.Lock()
	s.h.began = found
	s.h.mu.Unlock()
	return found.state, true
}

func (s *sessionsFor) Put(_ string, state *tls.ClientSessionState) {
	asked, sent := s.h.facts()
	if state != nil && !asked && s.h.identity != nil && s.h.pool.mustBeAsked {
		return // resumed, it would pass for one that was asked
	}
	s.put(s.addr, session{state, asked, sent})
}
