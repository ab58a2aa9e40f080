package certmap

import (
	"strconv"
	"strings"
)

// builder fills a table that nobody else sees yet.
type builder struct {
	t      *Table
	report report
	text   strings.Builder
	shared map[terms]*terms
	last   *terms          // most mappings have the terms of the one before
	spoilt map[string]int  // ids of mappings with mistakes, for finding repeated ones
	told   map[string]bool // issuer files whose mistake is in the report, if they have one
}

func newBuilder(n int) *builder {
	return &builder{t: newTable(n), shared: map[terms]*terms{}, spoilt: map[string]int{}, told: map[string]bool{}}
}

// add adds a mapping, or reports what is wrong with it.
func (b *builder) add(s *source, m *Mapping) {
	c, ok := compile(&b.report, s, m)
	if m.ID != "" && !b.claim(s, m.ID) {
		return
	}
	if !ok || !b.t.checkConflict(&b.report, s, &c) {
		b.spoil(m.ID, s.line)
		return
	}
	b.insert(&c)
}

// spoil remembers the id of a mapping that is not in the table.
func (b *builder) spoil(id string, line int) {
	if id != "" {
		b.spoilt[id] = line
	}
}

// claim reports an id that was seen before.
func (b *builder) claim(s *source, id string) bool {
	line, seen := b.spoilt[id]
	if p, found := b.t.findID(id); found {
		line, seen = int(b.t.entries.at(p).line), true
	}
	if seen {
		where := ""
		if line > 0 {
			where = ", first at line " + strconv.Itoa(line)
		}
		b.report.add(s.mistake(fieldID, "the id is not unique"+where, "every mapping has an id of its own; logs tell them apart by it"))
	}
	return !seen
}

func (b *builder) insert(c *compiled) {
	t := b.t
	p := uint32(t.entries.len())
	t.entries.push(c.entry(b.keep(c), b.terms(&c.with)))
	e := t.entries.at(p)
	slot := t.byKey.at(e.hash & (t.slots - 1))
	e.nextKey, *slot = *slot, p+1
	slot = t.byID.at(hashID(c.id) & (t.slots - 1))
	e.nextID, *slot = *slot, p+1
	t.count(c.kind, c.place, 1)
}

// keep writes the texts of an entry into a block with others, so that a million
// mappings are not millions of small strings.
func (b *builder) keep(c *compiled) string {
	const block = 64 << 10
	need := len(c.id) + len(c.user) + len(c.key) + len(c.written)
	if b.text.Cap()-b.text.Len() < need {
		b.text = strings.Builder{}
		b.text.Grow(max(need, min(block, need+64*b.t.live)))
	}
	from := b.text.Len()
	c.text(&b.text)
	return b.text.String()[from:]
}

func (b *builder) terms(with *terms) *terms {
	if b.last != nil && *b.last == *with {
		return b.last
	}
	known, ok := b.shared[*with]
	if !ok {
		known = new(terms)
		*known = *with
		b.shared[*with] = known
	}
	b.last = known
	return known
}

// table returns the table, or every mistake. A count that was guessed wrong is put
// right first.
func (b *builder) table() (*Table, error) {
	if err := b.report.err(); err != nil {
		return nil, err
	}
	return b.t.roomy(), nil
}
