package admin

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/mtlsguard/mtlsguard/identity"
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
	recent [256]atomic.Pointer[recent]
	stable atomic.Pointer[map[string]*seen]

	mu     sync.Mutex
	fresh  map[string]*seen // not in stable yet
	misses int              // of stable since it was made
}

// seen is the use of one mapping.
type seen struct {
	last  atomic.Pointer[use]
	first int64 // seconds since 1970; does not change
}

type use struct {
	at       int64 // seconds since 1970
	port     string
	user     string
	notAfter int64 // of the certificate, in seconds since 1970; 0 without one
}

func (u *use) time() time.Time { return time.Unix(u.at, 0) }

// newUse is apart from mark, and not inlined: only one request a second needs it.
//
//go:noinline
func newUse(now int64, id *identity.Identity) *use {
	u := &use{at: now, port: id.Port, user: strings.Clone(id.User)}
	if id.Leaf != nil {
		u.notAfter = id.Leaf.NotAfter.Unix()
	}
	return u
}

// recent is a mapping that was used, in the slot of its id: to find it there costs a third of
// looking it up in the map.
type recent struct {
	id   string
	seen *seen
	at   int64 // when it came into the slot
}

// slotOf returns the slot of an id, by its end: ids often begin alike.
func slotOf(id string) uint8 {
	h := uint(len(id))
	for i := max(len(id)-3, 0); i < len(id); i++ {
		h = h*31 + uint(id[i])
	}
	return uint8(h)
}

// mark records a use of the mapping of an identity.
func (l *lastSeen) mark(id *identity.Identity) {
	now := l.clock.Load()
	r := l.recent[slotOf(id.MappingID)].Load()
	if r == nil || r.id != id.MappingID {
		l.markOther(id, now, r)
	} else if r.seen.last.Load().at != now { // once a second: else every request would write to the same line of memory
		r.seen.last.Store(newUse(now, id))
	}
}

// markOther records a use of a mapping that is not in its slot. It takes the slot, but not from one
// that came in the same second: mappings that share a slot would take it by turns.
//
//go:noinline
func (l *lastSeen) markOther(id *identity.Identity, now int64, r *recent) {
	var s *seen
	if known := l.stable.Load(); known != nil {
		s = (*known)[id.MappingID]
	}
	if s == nil {
		l.markFresh(id, now)
		return
	}
	if s.last.Load().at != now {
		s.last.Store(newUse(now, id))
	}
	if r == nil || r.at != now {
		l.recent[slotOf(id.MappingID)].Store(&recent{strings.Clone(id.MappingID), s, now})
	}
}

// markFresh records a use of a mapping that is not in stable. When as many uses were such as there
// are mappings, stable is built again: this costs as much as a few uses.
func (l *lastSeen) markFresh(id *identity.Identity, now int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var known map[string]*seen
	if p := l.stable.Load(); p != nil {
		known = *p
	}
	s := known[id.MappingID] // another call may have made stable
	if s == nil {
		s = l.fresh[id.MappingID]
	}
	if s == nil {
		if len(known)+len(l.fresh) >= maxSeen {
			return
		}
		if l.fresh == nil {
			l.fresh = map[string]*seen{}
		}
		s = &seen{first: now}
		l.fresh[strings.Clone(id.MappingID)] = s // the id is part of a generation of the configuration
	}
	s.last.Store(newUse(now, id))
	if l.misses++; l.misses >= len(known)+len(l.fresh) {
		next := make(map[string]*seen, len(known)+len(l.fresh))
		maps.Copy(next, known)
		maps.Copy(next, l.fresh)
		l.stable.Store(&next)
		l.fresh, l.misses = nil, 0
	}
}

// of returns the last use of a mapping, the time of the first, and whether there was one.
func (l *lastSeen) of(id string) (last use, first time.Time, ok bool) {
	l.mu.Lock()
	s := l.fresh[id]
	if p := l.stable.Load(); s == nil && p != nil {
		s = (*p)[id]
	}
	l.mu.Unlock()
	if s == nil {
		return use{}, time.Time{}, false
	}
	return *s.last.Load(), time.Unix(s.first, 0), true
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
