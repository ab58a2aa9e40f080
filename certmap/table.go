package certmap

import (
	"fmt"
	"hash/maphash"
	"maps"
	"math/bits"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// Table is a set of mappings. It is immutable and safe for concurrent use; a
// change is another table (see Live). Exact kinds are looked up in a hash table,
// patterns by their shape, so the size of a table hardly matters to Map.
//
// A Table must come from New, ReadTable or Read and New. A nil *Table maps nobody.
type Table struct {
	entries    pages[entry]
	byKey      pages[uint32] // position + 1 of the first entry of a slot; 0: none
	byID       pages[uint32]
	slots      uint32 // a power of two
	live       int
	counts     [kinds]int
	places     map[place]int // where the patterns capture, and how many there
	now        func() time.Time
	generation uint64
}

// generations counts the tables of this process, so that no two share a
// generation.
var generations atomic.Uint64

// seed makes the slots of a key unpredictable to whoever chooses names for
// certificates.
var seed = maphash.MakeSeed()

// maxSame is how many mappings may have one key, whatever their issuers: a look-up
// walks them all.
const maxSame = 4096

// New makes a table. Every mistake is reported, joined, each a mistake with a
// position where the mapping has one: a missing or repeated ID, a name that no
// certificate could have, a user that is no user name, more than one kind, an
// issuer missing or out of place, and mappings of which two can give one
// certificate two users: the same key under the same issuer, on a common port, at
// a common time, for different users. Order in the file never decides who a
// certificate is.
func New(mappings ...Mapping) (*Table, error) {
	b := newBuilder(len(mappings))
	for i := range mappings {
		m := &mappings[i]
		s := source{file: m.File, line: m.Line, id: m.ID, number: i + 1}
		if b.add(&s, m); b.report.full() {
			break
		}
	}
	return b.table()
}

// Len is the number of mappings.
func (t *Table) Len() int {
	if t == nil {
		return 0
	}
	return t.live
}

// Generation is different for every table of a process.
func (t *Table) Generation() uint64 {
	if t == nil {
		return 0
	}
	return t.generation
}

// Mappings returns the mappings in the order of the file. Nothing in the result is
// shared with the table.
func (t *Table) Mappings() []Mapping {
	out := make([]Mapping, 0, t.Len())
	t.each(func(_ uint32, e *entry) { out = append(out, e.mapping()) })
	return out
}

// At returns the same table with another clock, for tests and for looking ahead.
// The default, and what nil stands for, is time.Now.
func (t *Table) At(now func() time.Time) *Table {
	if now == nil {
		now = time.Now
	}
	other := *t
	other.now = now
	other.generation = generations.Add(1)
	return &other
}

func (t *Table) each(do func(uint32, *entry)) {
	if t == nil {
		return
	}
	position := uint32(0)
	for _, page := range t.entries.list {
		for i := range page {
			if page[i].kind != none {
				do(position, &page[i])
			}
			position++
		}
	}
}

func hashKey(k kind, key []byte) uint32 {
	h := maphash.Bytes(seed, key) + uint64(k)*0x9e3779b97f4a7c15
	return uint32(h ^ h>>32)
}

func hashID(id string) uint32 { return uint32(maphash.String(seed, id)) }

// newTable returns an empty table with slots for n mappings.
func newTable(n int) *Table {
	slots := uint32(1) << bits.Len(uint(max(n, 8)-1))
	return &Table{
		byKey: makePages[uint32](int(slots)), byID: makePages[uint32](int(slots)), slots: slots,
		places: map[place]int{}, now: time.Now, generation: generations.Add(1),
	}
}

// first is the position + 1 of the first entry in the slot of a hash.
func (t *Table) first(hash uint32) uint32 { return *t.byKey.at(hash & (t.slots - 1)) }

// findID returns the position of a mapping.
func (t *Table) findID(id string) (uint32, bool) {
	if t == nil {
		return 0, false
	}
	for p := *t.byID.at(hashID(id) & (t.slots - 1)); p != 0; {
		e := t.entries.at(p - 1)
		if e.id() == id {
			return p - 1, true
		}
		p = e.nextID
	}
	return 0, false
}

// conflict looks for a mapping other than the one called c.id that gives the same
// certificates to another user. It compares patterns by their shape: two of one
// shape match the same names.
func (t *Table) conflict(c *compiled) (other *entry, same int) {
	hash := hashKey(c.kind, c.key)
	for p := t.first(hash); p != 0; {
		e := t.entries.at(p - 1)
		p = e.nextKey
		if !e.is(c.kind, hash, c.key) || e.id() == c.id {
			continue
		}
		same++
		if e.user() != c.user && !e.disabled && !c.disabled && e.with.issuer == c.with.issuer && e.with.meets(&c.with) {
			return e, same
		}
	}
	return nil, same
}

// checkConflict reports a conflict.
func (t *Table) checkConflict(r *report, s *source, c *compiled) bool {
	other, same := t.conflict(c)
	switch {
	case other != nil:
		at := (&configerror.Error{File: other.with.file, Line: int(other.line)}).Position()
		if at != "" {
			at = " at " + at
		}
		r.add(s.mistake(fieldNone,
			fmt.Sprintf("the same %s as mapping %s%s, for another user: %s and %s", c.kind, escape.Quote(other.id(), escape.Short), at, c.user, other.user()),
			"remove or disable one, or part them by ports, not_before and not_after"))
		return false
	case same >= maxSame:
		r.add(s.mistake(fieldNone, fmt.Sprintf("more than %d mappings have this %s", maxSame, c.kind), "one mapping is enough for one user"))
		return false
	}
	return true
}

// entry makes the entry of a compiled mapping; with must be the table's own.
func (c *compiled) entry(text string, with *terms) entry {
	return entry{
		text: text, with: with, hash: hashKey(c.kind, c.key), line: uint32(c.line),
		idLen: uint16(len(c.id)), userLen: uint16(len(c.user)), keyLen: uint16(len(c.key)),
		kind: c.kind, disabled: c.disabled,
	}
}

func (c *compiled) text(b *strings.Builder) {
	b.WriteString(c.id)
	b.WriteString(c.user)
	b.Write(c.key)
	b.WriteString(c.written)
}

// count keeps the counts that tell Map where to look.
func (t *Table) count(k kind, p place, by int) {
	t.live += by
	t.counts[k] += by
	if !k.pattern() {
		return
	}
	if t.places[p] += by; t.places[p] == 0 {
		delete(t.places, p)
	}
}

// placeOf finds the place of a pattern again. Other kinds have none.
func placeOf(k kind, key string) place {
	switch {
	case !k.pattern():
		return place{}
	case k == byURIPattern:
		before, _, _ := strings.Cut(key, captured)
		return place{segment: strings.Count(before, "/")}
	}
	for _, s := range attributesOf(key) {
		if key[s.value:s.end] == captured {
			return place{oid: key[s.oid:s.size]}
		}
	}
	return place{}
}

// fork returns a copy to change, which shares what is not changed.
func (t *Table) fork() *Table {
	other := *t
	other.entries, other.byKey, other.byID = t.entries.fork(), t.byKey.fork(), t.byID.fork()
	other.places = maps.Clone(t.places)
	other.generation = generations.Add(1)
	return &other
}
