package certmap

import (
	"strconv"
	"strings"
)

// builder fills a table that no other goroutine uses yet.
type builder struct {
	t        *Table
	report   report
	text     strings.Builder
	shared   map[terms]*terms
	last     *terms         // most mappings have the terms of the mapping before
	rejected map[string]int // lines of mappings with errors by id, for finding repeated ids
}

func newBuilder(n int) *builder {
	return &builder{t: newTable(n), shared: map[terms]*terms{}, rejected: map[string]int{}}
}

// add adds a mapping, or reports its errors.
func (b *builder) add(at *origin, m *Mapping) {
	c, ok := compile(&b.report, at, m)
	if m.ID != "" && !b.claimID(at, m.ID) {
		return
	}
	if !ok || !b.t.checkConflict(&b.report, at, &c) {
		b.reject(at, m.ID)
		return
	}
	b.t.entries.Push(c.entry(b.keepText(&c), b.shareTerms(&c.terms)), hashKey(c.kind, c.key), hashID(c.id))
	b.t.count(c.kind, c.place, 1)
}

// reject remembers the id of a mapping that is not in the table.
func (b *builder) reject(at *origin, id string) {
	if id != "" {
		b.rejected[id] = at.line
	}
}

// claimID reports an id that another mapping has, and returns false then.
func (b *builder) claimID(at *origin, id string) bool {
	line, seen := b.rejected[id]
	if ref := b.t.findID(id); ref != 0 {
		line, seen = int(b.t.entries.At(ref).line), true
	}
	if seen {
		where := ""
		if line > 0 {
			where = ", first at line " + strconv.Itoa(line)
		}
		b.report.Add(at.err(fieldID, "the id is not unique"+where, "give every mapping an id of its own"))
	}
	return !seen
}

// text returns the text of an entry.
func (c *compiled) text() string { return c.id + c.user + string(c.key) + c.written }

// entry returns the entry of a mapping with a text and terms that the table keeps.
func (c *compiled) entry(text string, terms *terms) entry {
	return entry{
		text: text, terms: terms, line: uint32(c.line),
		idLen: uint16(len(c.id)), userLen: uint16(len(c.user)), keyLen: uint16(len(c.key)),
		kind: c.kind, disabled: c.disabled,
	}
}

// keepText writes the text of an entry into a block with others: otherwise a million
// mappings would be a million small strings.
func (b *builder) keepText(c *compiled) string {
	const block = 64 << 10
	text := c.text()
	if b.text.Cap()-b.text.Len() < len(text) {
		b.text = strings.Builder{}
		b.text.Grow(max(len(text), min(block, len(text)*b.t.entries.Len())))
	}
	from := b.text.Len()
	b.text.WriteString(text)
	return b.text.String()[from:]
}

// shareTerms returns equal terms that an entry before has, or a copy.
func (b *builder) shareTerms(t *terms) *terms {
	if b.last != nil && *b.last == *t {
		return b.last
	}
	known, ok := b.shared[*t]
	if !ok {
		known = new(terms)
		*known = *t
		b.shared[*t] = known
	}
	b.last = known
	return known
}

// table returns the table, or every error.
func (b *builder) table() (*Table, error) {
	if err := b.report.err(); err != nil {
		return nil, err
	}
	b.t.entries = b.t.entries.Compact() // the number of mappings may not have been known before
	return b.t, nil
}
