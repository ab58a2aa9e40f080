package audit

import (
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/reason"
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

// rate returns how many lines of a kind may be written in how long. Each request that comes
// through no port reports the same error of the program: one line a minute is enough.
func (k kind) rate() (lines int, per time.Duration) {
	if k.reason == string(reason.NoPort) {
		return 1, time.Minute
	}
	return linesPerSecond, time.Second
}

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
	lines, per := k.rate()
	if now := time.Now(); now.Sub(b.since) >= per {
		b.left, b.since = lines, now
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
// A quiet of 0 returns all of them.
func (s *sampler) takeSuppressed(quiet time.Duration) map[kind]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[kind]uint64{}
	for k, b := range s.kinds {
		wait := quiet
		if _, per := k.rate(); wait > 0 && wait < per {
			wait = per
		}
		if b.suppressed > 0 && time.Since(b.since) >= wait {
			out[k], b.suppressed = b.suppressed, 0
		}
	}
	return out
}
