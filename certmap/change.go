package certmap

import (
	"maps"
	"slices"
)

// fork returns a copy that shares its content with t, for changing.
func (t *Table) fork() *Table {
	other := *t
	other.pages, other.order = slices.Clone(t.pages), slices.Clone(t.order)
	other.byKey, other.byID = t.byKey.Fork(), t.byID.Fork()
	other.places = maps.Clone(t.places)
	other.generation = generations.Add(1)
	other.origin = nil
	return &other
}

// link adds a mapping to the indexes.
func (t *Table) link(r ref, e *entry) {
	t.byKey.Insert(hashText(e.kind, e.key()), r)
	t.byID.Insert(hashID(e.id()), r)
	t.count(e, 1)
}

// unlink takes a mapping out of the indexes.
func (t *Table) unlink(r ref) {
	e := t.at(r)
	t.byKey.Remove(hashText(e.kind, e.key()), r)
	t.byID.Remove(hashID(e.id()), r)
	t.count(&e, -1)
}

// addPage adds a page behind the others, and returns its number.
func (t *Table) addPage(p placedPage) int {
	number := slices.IndexFunc(t.pages, func(p placedPage) bool { return p.page == nil })
	if number < 0 {
		number = len(t.pages)
		t.pages = append(t.pages, placedPage{})
	}
	t.pages[number] = p
	t.order = append(t.order, number)
	return number
}

// put returns the table with one mapping added, or changed in its place.
func (t *Table) put(m *Mapping) (*Table, error) {
	var r report
	at := origin{file: m.File, line: m.Line, id: m.ID}
	c, ok := compile(&r, &at, m)
	if !ok {
		return nil, r.err()
	}
	next := t.fork()
	var number, i int
	if old := t.findID(c.id); old != 0 {
		number, i = splitRef(old)
		next.unlink(old)
	} else {
		number, i = next.lastPlace()
	}
	next.pages[number] = next.pages[number].with(i, &c)
	e := next.pages[number].entry(i)
	if !next.checkConflict(&r, &at, &e) {
		return nil, r.err()
	}
	next.link(refOf(number, i), &e)
	return next, nil
}

// lastPlace returns the place behind the last mapping, on a new page if the last is full.
func (t *Table) lastPlace() (number, i int) {
	fresh := placedPage{page: new(page)}
	if n := len(t.order); n > 0 {
		last := &t.pages[t.order[n-1]]
		if len(last.records) < pageSize {
			return t.order[n-1], len(last.records)
		}
		fresh.file, fresh.seq = last.file, last.seq+1
	}
	return t.addPage(fresh), 0
}

// remove returns the table without one mapping, and whether it was there.
func (t *Table) remove(id string) (*Table, bool) {
	r := t.findID(id)
	if r == 0 {
		return t, false
	}
	next := t.fork()
	number, i := splitRef(r)
	next.unlink(r)
	next.pages[number].page = next.pages[number].without(i)
	next.removed++
	return next.compact(), true
}

// compact returns t, or the same table laid out anew if most of its places are of removed
// mappings. Laying out costs as much as adding every mapping, and is needed once in about as
// many removals as there are mappings.
func (t *Table) compact() *Table {
	if t.removed <= t.live+pageSize {
		return t
	}
	b := newBuilder(t.live)
	for _, e := range t.all() {
		b.pager.pushEntry(e)
		b.link()
	}
	next := b.finish()
	next.now = t.now
	return next
}
