package certmap

import (
	"fmt"
	"hash/maphash"
	"iter"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/ptable"
)

// Table is a set of mappings. It is immutable and safe for concurrent use; Live changes to
// another table. Exact kinds are found by hash and patterns by the hash of their shape, so
// the size of a table hardly matters to Map.
//
// A Table must come from New or Load. A nil *Table has no mappings.
type Table struct {
	pages   []placedPage // by number; without a page: the number is free
	order   []int        // the numbers in the order of the table
	byKey   *ptable.Index
	byID    *ptable.Index
	live    int // mappings
	removed int // mappings that still have a place in a page

	counts     [kindCount]int
	places     map[place]int // how many patterns capture at each place
	now        func() time.Time
	generation uint64
	origin     *source // the files of a table that was loaded, for the next load; nil after a change
}

// ref refers to a mapping of a table: the number of its page, and its index there. 0 is no
// mapping.
type ref = ptable.Ref

func refOf(number, i int) ref { return ref(number<<pageBits|i) + 1 }

func splitRef(r ref) (number, i int) { return int((r - 1) >> pageBits), int((r - 1) & (pageSize - 1)) }

// generations counts the tables of this process, so that no two share a generation.
var generations atomic.Uint64

// seed is random, so that the names in certificates cannot be chosen to collide.
var seed = maphash.MakeSeed()

// maxSameKey is how many mappings may have one key, whatever their issuers: a look-up reads
// all of them.
const maxSameKey = 4096

// New makes a table. It reports every error, joined: a missing or repeated ID, a value that
// no certificate could have, a user that is not a user name, no kind or more than one, a
// missing issuer, and conflicts. Two mappings conflict if they give one certificate to two
// users: the same key under the same issuer, on a common port, at a common time. The order
// of the mappings never decides a certificate's user.
func New(mappings ...Mapping) (*Table, error) {
	b := newBuilder(len(mappings))
	for i := range mappings {
		m := &mappings[i]
		at := origin{file: m.File, line: m.Line, id: m.ID, number: i + 1}
		if b.add(&at, m); b.report.full() {
			break
		}
	}
	return b.table()
}

func newTable(n int) *Table {
	return &Table{byKey: ptable.New(n), byID: ptable.New(n), places: map[place]int{}, now: time.Now, generation: generations.Add(1)}
}

// Generation returns a number that differs for every table of a process. It is 0 for a nil
// *Table.
func (t *Table) Generation() uint64 {
	if t == nil {
		return 0
	}
	return t.generation
}

// Mappings returns the mappings in the order of the table. The result shares nothing with
// the table.
func (t *Table) Mappings() []Mapping {
	if t == nil {
		return nil
	}
	out := make([]Mapping, 0, t.live)
	for _, e := range t.all() {
		out = append(out, e.mapping())
	}
	return out
}

// All returns the mappings in the order of the table, one by one: there may be a million.
func (t *Table) All() iter.Seq[Mapping] {
	return func(yield func(Mapping) bool) {
		if t == nil {
			return
		}
		for _, e := range t.all() {
			if !yield(e.mapping()) {
				return
			}
		}
	}
}

// WithClock returns the same table with another clock for the dates of mappings, for tests
// and for looking ahead. nil means time.Now, which is the default.
func (t *Table) WithClock(now func() time.Time) *Table {
	if now == nil {
		now = time.Now
	}
	other := *t
	other.now = now
	other.generation = generations.Add(1)
	return &other
}

// hashKey returns the same as hashText, for a key that is made for one search.
func hashKey(k kind, key []byte) uint32 { return mixKind(k, maphash.Bytes(seed, key)) }

// hashText returns the hash of a key by which a table finds it.
func hashText(k kind, key string) uint32 { return mixKind(k, maphash.String(seed, key)) }

func mixKind(k kind, h uint64) uint32 {
	h += uint64(k) * 0x9e3779b97f4a7c15
	return uint32(h ^ h>>32)
}

func hashID(id string) uint32 { return uint32(maphash.String(seed, id)) }

// at returns a mapping.
func (t *Table) at(r ref) entry {
	number, i := splitRef(r)
	return t.pages[number].entry(i)
}

// all returns the mappings in their order. An entry holds until the next.
func (t *Table) all() iter.Seq2[ref, *entry] {
	return func(yield func(ref, *entry) bool) {
		for _, number := range t.order {
			p := &t.pages[number]
			for i := range p.records {
				if p.records[i].kind == noKind {
					continue
				}
				if e := p.entry(i); !yield(refOf(number, i), &e) {
					return
				}
			}
		}
	}
}

// compareRefs compares two mappings by their order in the table.
func (t *Table) compareRefs(a, b ref) int {
	x, i := splitRef(a)
	y, j := splitRef(b)
	if x == y {
		return i - j
	}
	return comparePages(&t.pages[x], &t.pages[y])
}

// findID returns the mapping with an id, or 0.
func (t *Table) findID(id string) ref {
	for s := t.byID.Search(hashID(id)); s.Next(); {
		if e := t.at(s.Ref); e.id() == id {
			return s.Ref
		}
	}
	return 0
}

// findConflict returns a mapping that gives the same certificates as e to another user, or 0,
// and how many mappings have the same key. The mapping with e's own id does not count. Two
// patterns have the same key if they match the same names.
func (t *Table) findConflict(e *entry) (conflict ref, sameKey int) {
	for s := t.byKey.Search(hashText(e.kind, e.key())); s.Next(); {
		o := t.at(s.Ref)
		if o.kind != e.kind || o.key() != e.key() || o.id() == e.id() {
			continue
		}
		sameKey++
		if o.user() != e.user() && !o.disabled && !e.disabled && o.terms.issuer == e.terms.issuer && o.terms.overlap(e.terms) &&
			(conflict == 0 || t.compareRefs(s.Ref, conflict) < 0) {
			conflict = s.Ref
		}
	}
	return conflict, sameKey
}

// checkConflict reports a conflict, and returns false if there is one.
func (t *Table) checkConflict(r *report, at *origin, e *entry) bool {
	conflict, sameKey := t.findConflict(e)
	switch {
	case conflict != 0:
		other := t.at(conflict)
		where := (&configerror.Error{File: other.terms.file, Line: int(other.line)}).Position()
		if where != "" {
			where = " at " + where
		}
		r.Add(at.err(noField,
			fmt.Sprintf("the same %s as mapping %s%s, for another user: %s and %s", e.kind, escape.Quote(other.id(), escape.Short), where, e.user(), other.user()),
			"remove or disable one, or separate them by ports, not_before and not_after"))
		return false
	case sameKey >= maxSameKey:
		r.Add(at.err(noField, fmt.Sprintf("more than %d mappings have this %s", maxSameKey, e.kind), "one mapping is enough for one user"))
		return false
	}
	return true
}

// count changes the counts by which Map skips kinds and places without mappings.
func (t *Table) count(e *entry, by int) {
	t.counts[e.kind] += by
	t.live += by
	if !e.kind.isPattern() {
		return
	}
	p := placeOf(e.kind, e.key())
	if t.places[p] += by; t.places[p] == 0 {
		delete(t.places, p)
	}
}
