package admin

import "sync"

// streams counts the open streams of events. It is safe for concurrent use.
type streams struct {
	mu     sync.Mutex
	total  int
	byUser map[string]int // those with a stream
}

// open counts a stream of a user, and reports whether it is within the bounds.
func (s *streams) open(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total == maxStreams || s.byUser[user] == maxStreamsOfUser {
		return false
	}
	if s.byUser == nil {
		s.byUser = map[string]int{}
	}
	s.total++
	s.byUser[user]++
	return true
}

// close ends a stream that open has counted.
func (s *streams) close(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.byUser[user]--; s.byUser[user] == 0 {
		delete(s.byUser, user)
	}
}
