package certmap

import "strings"

// with returns the table with one mapping added, or changed in its place. What is
// not changed is shared with t.
func (t *Table) with(m *Mapping) (*Table, error) {
	var r report
	s := source{file: m.File, line: m.Line, id: m.ID}
	c, ok := compile(&r, &s, m)
	if ok {
		t.checkConflict(&r, &s, &c)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	var text strings.Builder
	c.text(&text)
	terms := c.with
	e := c.entry(text.String(), &terms)

	next := t.fork()
	p, exists := next.findID(c.id)
	if exists { // its place in the order, and the slot of its id, stay
		old := *next.entries.at(p)
		next.unlinkKey(&old, p)
		next.count(old.kind, placeOf(old.kind, old.key()), -1)
		e.nextID = old.nextID
		*next.entries.own(p) = e
	} else {
		p = uint32(next.entries.len())
		slot := next.byID.own(hashID(c.id) & (next.slots - 1))
		e.nextID, *slot = *slot, p+1
		next.entries.ownLast()
		next.entries.push(e)
	}
	slot := next.byKey.own(e.hash & (next.slots - 1))
	next.entries.own(p).nextKey, *slot = *slot, p+1
	next.count(c.kind, c.place, 1)
	return next.roomy(), nil
}

// without returns the table without one mapping, and whether it was there.
func (t *Table) without(id string) (*Table, bool) {
	p, exists := t.findID(id)
	if !exists {
		return t, false
	}
	next := t.fork()
	old := *next.entries.at(p)
	next.unlinkKey(&old, p)
	next.unlinkID(&old, p)
	next.count(old.kind, placeOf(old.kind, old.key()), -1)
	*next.entries.own(p) = entry{}
	return next.roomy(), true
}

// unlinkKey takes position p out of the chain of its key.
func (t *Table) unlinkKey(e *entry, p uint32) {
	slot := e.hash & (t.slots - 1)
	if at := *t.byKey.at(slot); at == p+1 {
		*t.byKey.own(slot) = e.nextKey
		return
	}
	for at := *t.byKey.at(slot); at != 0; at = t.entries.at(at - 1).nextKey {
		if t.entries.at(at-1).nextKey == p+1 {
			t.entries.own(at - 1).nextKey = e.nextKey
			return
		}
	}
}

// unlinkID takes position p out of the chain of its id.
func (t *Table) unlinkID(e *entry, p uint32) {
	slot := hashID(e.id()) & (t.slots - 1)
	if at := *t.byID.at(slot); at == p+1 {
		*t.byID.own(slot) = e.nextID
		return
	}
	for at := *t.byID.at(slot); at != 0; at = t.entries.at(at - 1).nextID {
		if t.entries.at(at-1).nextID == p+1 {
			t.entries.own(at - 1).nextID = e.nextID
			return
		}
	}
}

// roomy returns t, or where its chains have grown long or most of its entries are
// gone, the same table with entries and slots laid out anew. That costs as much as
// loading, and comes once in as many changes as there are mappings.
func (t *Table) roomy() *Table {
	n := t.entries.len()
	if n <= 2*int(t.slots) && n <= 2*t.live+pageSize {
		return t
	}
	next := newTable(2 * t.live)
	next.now, next.generation, next.counts, next.live, next.places = t.now, t.generation, t.counts, t.live, t.places
	t.each(func(_ uint32, old *entry) {
		p := uint32(next.entries.len())
		e := *old
		slot := next.byKey.at(e.hash & (next.slots - 1))
		e.nextKey, *slot = *slot, p+1
		slot = next.byID.at(hashID(e.id()) & (next.slots - 1))
		e.nextID, *slot = *slot, p+1
		next.entries.push(e)
	})
	return next
}
