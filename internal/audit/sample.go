package audit

import (
	"sync"
	"time"
)

// How many lines of one kind anybody without a name may cause in a second. The
// counters of Status stay exact.
const linesPerSecond = 100

// sampler bounds the lines that strangers can cause. The zero value is ready.
type sampler struct {
	mu    sync.Mutex
	kinds map[kind]*bucket // as many as ports and reasons make, no more
}

// kind is what is counted together: one flood must not hide another.
type kind struct{ event, outcome, port, reason string }

type bucket struct {
	left       int
	since      time.Time
	suppressed uint64
}

// take reports whether a line may be written, and if so how many of its kind were
// not since the last one that was.
func (s *sampler) take(k kind) (suppressed uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds == nil {
		s.kinds = map[kind]*bucket{}
	}
	b := s.kinds[k]
	if b == nil {
		b = &bucket{}
		s.kinds[k] = b
	}
	if now := time.Now(); now.Sub(b.since) >= time.Second {
		b.left, b.since = linesPerSecond, now
	}
	if b.left == 0 {
		b.suppressed++
		return 0, false
	}
	b.left--
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

// rest returns how many lines of each kind were not written, and forgets it, where
// no second of the kind has begun for so long: else the next line tells it.
func (s *sampler) rest(quiet time.Duration) map[kind]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[kind]uint64{}
	for k, b := range s.kinds {
		if b.suppressed > 0 && time.Since(b.since) >= quiet {
			out[k], b.suppressed = b.suppressed, 0
		}
	}
	return out
}
