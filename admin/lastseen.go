package admin

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"
)

// maxSeen bounds the mappings of which the last use is known. Mappings come from the
// configuration; only those that many reloads have removed could fill it.
const maxSeen = 1 << 20

// lastSeen knows when each mapping last named the user of an allowed request, to the second.
// It is safe for concurrent use.
//
// It reads a clock that a timer moves: to read the time costs more than all else here. A known
// mapping takes no lock; see mark.
type lastSeen struct {
	clock  atomic.Int64 // seconds since 1970
	stable atomic.Pointer[map[string]*seen]

	mu     sync.Mutex
	fresh  map[string]*seen // not in stable yet
	misses int              // of stable since it was made
}

// seen is the last use of one mapping.
type seen struct{ last atomic.Pointer[use] }

type use struct {
	at   int64 // seconds since 1970
	port string
}

// mark records a use of a mapping.
func (l *lastSeen) mark(id, port string) {
	now := l.clock.Load()
	if known := l.stable.Load(); known != nil {
		if s, ok := (*known)[id]; ok {
			if last := s.last.Load(); last.at != now { // once a second: else every request would write to the same line of memory
				s.last.Store(&use{now, port})
			}
			return
		}
	}
	l.markFresh(id, port, now)
}

// markFresh records a use of a mapping that is not in stable. When as many uses were such as
// there are mappings, stable is made anew: its cost is that of a few uses.
func (l *lastSeen) markFresh(id, port string, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var known map[string]*seen
	if p := l.stable.Load(); p != nil {
		known = *p
	}
	s := known[id] // another call may have made stable
	if s == nil {
		s = l.fresh[id]
	}
	if s == nil {
		if len(known)+len(l.fresh) >= maxSeen {
			return
		}
		if l.fresh == nil {
			l.fresh = map[string]*seen{}
		}
		s = &seen{}
		l.fresh[strings.Clone(id)] = s // the id is part of a generation of the configuration
	}
	s.last.Store(&use{now, port})
	if l.misses++; l.misses >= len(known)+len(l.fresh) {
		next := make(map[string]*seen, len(known)+len(l.fresh))
		maps.Copy(next, known)
		maps.Copy(next, l.fresh)
		l.stable.Store(&next)
		l.fresh, l.misses = nil, 0
	}
}

// of returns when and on which port a mapping was used last. The time is zero if it was not.
func (l *lastSeen) of(id string) (at time.Time, port string) {
	l.mu.Lock()
	s := l.fresh[id]
	if p := l.stable.Load(); s == nil && p != nil {
		s = (*p)[id]
	}
	l.mu.Unlock()
	if s == nil {
		return time.Time{}, ""
	}
	last := s.last.Load()
	return time.Unix(last.at, 0).UTC(), last.port
}

// tick moves the clock each second until the page is garbage. The pointer is weak: a page has no
// end that a program would have to call.
func tick(p weak.Pointer[Page]) {
	page := p.Value()
	if page == nil {
		return
	}
	page.seen.clock.Store(page.config.Now().Unix())
	time.AfterFunc(time.Second, func() { tick(p) })
}
