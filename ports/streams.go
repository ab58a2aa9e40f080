package ports

import (
	"sync"
	"time"
)

// streams are the requests of a connection whose handlers are at work.
type streams struct {
	mu    sync.Mutex
	first *stream
}

func (l *streams) add(s *stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.next = l.first; s.next != nil {
		s.next.prev = s
	}
	l.first = s
}

// remove also reports whether a sweep has found the stream.
func (l *streams) remove(s *stream) (swept bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s.next != nil {
		s.next.prev = s.prev
	}
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		l.first = s.next
	}
	s.next, s.prev = nil, nil // a handler may keep its request, and with it s
	return s.swept
}

// sweep ends the streams of a connection that wait too long for the client.
func (l *streams) sweep(now time.Duration) {
	var actions []func()
	l.mu.Lock()
	for s := l.first; s != nil; s = s.next {
		if !s.swept {
			s.swept = true
			actions = append(actions, s.extend)
		}
		if !s.writeEnded && s.writeDeadline.Load() == 0 && s.written.stalled(now, minBytes(s.takeLimit), s.takeLimit) {
			s.writeEnded = true
			actions = append(actions, s.endWrite)
		}
		if !s.readEnded && !s.ownReadDeadline.Load() && !s.answered.Load() && s.received.stalled(now, 1, s.idleLimit) {
			s.readEnded = true
			actions = append(actions, s.endRead)
		}
	}
	l.mu.Unlock()
	if len(actions) == 0 {
		return
	}
	go func() { // net/http may take seconds to accept a deadline, while it closes the connection
		for _, act := range actions {
			act()
		}
	}()
}
