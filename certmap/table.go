package certmap

import (
	"fmt"
	"hash/maphash"
	"maps"
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
	entries    *ptable.Table[entry]
	counts     [kindCount]int
	places     map[place]int // how many patterns capture at each place
	now        func() time.Time
	generation uint64
}

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
	return &Table{entries: ptable.New[entry](n), places: map[place]int{}, now: time.Now, generation: generations.Add(1)}
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
	out := make([]Mapping, 0, t.entries.Len())
	for _, e := range t.entries.All() {
		out = append(out, e.mapping())
	}
	return out
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

func hashKey(k kind, key []byte) uint32 {
	h := maphash.Bytes(seed, key) + uint64(k)*0x9e3779b97f4a7c15
	return uint32(h ^ h>>32)
}

func hashID(id string) uint32 { return uint32(maphash.String(seed, id)) }

// findID returns the entry with an id, or 0.
func (t *Table) findID(id string) ptable.Ref {
	r := t.entries.FirstOfID(hashID(id))
	for r != 0 && t.entries.At(r).id() != id {
		r = t.entries.NextOfID(r)
	}
	return r
}

// findConflict returns a mapping that gives the same certificates to another user, and how
// many mappings have the same key. The mapping with c's own id does not count. Two patterns
// have the same key if they match the same names.
func (t *Table) findConflict(c *compiled) (conflict *entry, sameKey int) {
	for r := t.entries.FirstOfKey(hashKey(c.kind, c.key)); r != 0; r = t.entries.NextOfKey(r) {
		e := t.entries.At(r)
		if !e.isFor(c.kind, c.key) || e.id() == c.id {
			continue
		}
		sameKey++
		if e.user() != c.user && !e.disabled && !c.disabled && e.terms.issuer == c.terms.issuer && e.terms.overlap(&c.terms) {
			return e, sameKey
		}
	}
	return nil, sameKey
}

// checkConflict reports a conflict, and returns false if there is one.
func (t *Table) checkConflict(r *report, at *origin, c *compiled) bool {
	other, sameKey := t.findConflict(c)
	switch {
	case other != nil:
		where := (&configerror.Error{File: other.terms.file, Line: int(other.line)}).Position()
		if where != "" {
			where = " at " + where
		}
		r.Add(at.err(noField,
			fmt.Sprintf("the same %s as mapping %s%s, for another user: %s and %s", c.kind, escape.Quote(other.id(), escape.Short), where, c.user, other.user()),
			"remove or disable one, or separate them by ports, not_before and not_after"))
		return false
	case sameKey >= maxSameKey:
		r.Add(at.err(noField, fmt.Sprintf("more than %d mappings have this %s", maxSameKey, c.kind), "one mapping is enough for one user"))
		return false
	}
	return true
}

// count changes the counts by which Map skips kinds and places without mappings.
func (t *Table) count(k kind, p place, by int) {
	t.counts[k] += by
	if !k.isPattern() {
		return
	}
	if t.places[p] += by; t.places[p] == 0 {
		delete(t.places, p)
	}
}

// fork returns a copy that shares its content with t, for changing.
func (t *Table) fork() *Table {
	other := *t
	other.entries = t.entries.Fork()
	other.places = maps.Clone(t.places)
	other.generation = generations.Add(1)
	return &other
}

// put returns the table with one mapping added, or changed in its place.
func (t *Table) put(m *Mapping) (*Table, error) {
	var r report
	at := origin{file: m.File, line: m.Line, id: m.ID}
	c, ok := compile(&r, &at, m)
	if ok {
		t.checkConflict(&r, &at, &c)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	terms := c.terms
	e := c.entry(c.text(), &terms)
	next := t.fork()
	if ref := next.findID(c.id); ref != 0 {
		old := next.entries.At(ref)
		next.count(old.kind, placeOf(old.kind, old.key()), -1)
		next.entries.Replace(ref, e, hashKey(c.kind, c.key))
	} else {
		next.entries.Push(e, hashKey(c.kind, c.key), hashID(c.id))
	}
	next.count(c.kind, c.place, 1)
	next.entries = next.entries.Compact()
	return next, nil
}

// remove returns the table without one mapping, and whether it was there.
func (t *Table) remove(id string) (*Table, bool) {
	ref := t.findID(id)
	if ref == 0 {
		return t, false
	}
	next := t.fork()
	old := next.entries.At(ref)
	next.count(old.kind, placeOf(old.kind, old.key()), -1)
	next.entries.Remove(ref)
	next.entries = next.entries.Compact()
	return next, true
}
