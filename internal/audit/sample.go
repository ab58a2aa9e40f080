package audit

import (
	"sync"
	"time"
)

// linesPerSecond bounds the lines of one kind that anonymous peers can cause. The counters
// of Status stay exact.
const linesPerSecond = 100

// sampler bounds the lines that anonymous peers can cause. The zero value is ready.
type sampler struct {
	mu    sync.Mutex
	kinds map[kind]*bucket // bounded: ports times reasons
}

// kind is the key of a bucket: a flood of one kind must not hide another.
type kind struct{ event, outcome, port, reason string }

type bucket struct {
	left       int
	since      time.Time
	suppressed uint64
}

// take reports whether a line may be written, and if so how many of its kind were left out
// since the last one.
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

// takeSuppressed returns how many lines of each kind were left out, and resets the counts,
// for kinds without a line during the last quiet. For the others the next line reports it.
func (s *sampler) takeSuppressed(quiet time.Duration) map[kind]uint64 {
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
