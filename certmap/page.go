package certmap

import (
	"cmp"
	"slices"
	"strings"
)

const (
	pageBits = 9
	pageSize = 1 << pageBits // mappings
)

// page holds up to 512 mappings in the order of their file. It does not change once a Table
// has it, so tables share pages. Its records and its text hold no pointers: 16 bytes a mapping
// and its text, which the collector never looks into.
type page struct {
	records []record
	text    string
	terms   []terms // each of them once
	file    string
}

// placedPage is a page at its place in a table. The page does not know its place: a line that is inserted
// into a file moves the pages behind it, and does not change them.
type placedPage struct {
	*page
	seq  int    // the pages of one file in their order
	line uint32 // how many lines stand before the piece of the page
}

// entry returns a mapping of the page.
func (p *placedPage) entry(i int) entry {
	e := p.page.entry(i)
	e.line += p.line
	return e
}

// record is a mapping in a page. Its text begins at an offset of the page's text and ends
// where the next begins.
type record struct {
	at       uint32
	line     uint32 // in its piece
	terms    uint16 // an index of the page's terms
	idLen    uint16
	keyLen   uint16
	userLen  uint8
	kind     kind // noKind marks a removed mapping
	disabled bool
}

// entry returns a mapping of the page, with its line in its piece.
func (p *page) entry(i int) entry {
	r := &p.records[i]
	end := len(p.text)
	if i+1 < len(p.records) {
		end = int(p.records[i+1].at)
	}
	return entry{
		text: p.text[r.at:end], terms: &p.terms[r.terms], line: r.line,
		idLen: r.idLen, userLen: r.userLen, keyLen: r.keyLen, kind: r.kind, disabled: r.disabled,
	}
}

// comparePages compares two pages by their order in a table.
func comparePages(a, b *placedPage) int {
	return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.seq, b.seq))
}

// pager fills pages. The last page can be read while it is being filled.
type pager struct {
	file    string
	pages   []*page
	open    *page // the last of pages
	text    strings.Builder
	known   map[terms]uint16 // those of the open page
	last    terms            // most mappings have the terms of the mapping before
	lastRef uint16
}

func newPager(file string) pager { return pager{file: file, known: map[terms]uint16{}} }

// push adds a mapping after the others.
func (g *pager) push(c *compiled) {
	g.begin(&c.terms, record{
		line: uint32(c.line), idLen: uint16(len(c.id)), userLen: uint8(len(c.user)), keyLen: uint16(len(c.key)),
		kind: c.kind, disabled: c.disabled,
	})
	g.text.WriteString(c.id)
	g.text.WriteString(c.user)
	g.text.Write(c.key)
	g.text.WriteString(c.written)
	g.open.text = g.text.String()
}

// pushEntry adds the mapping of another page.
func (g *pager) pushEntry(e *entry) {
	g.begin(e.terms, record{line: e.line, idLen: e.idLen, userLen: e.userLen, keyLen: e.keyLen, kind: e.kind, disabled: e.disabled})
	g.text.WriteString(e.text)
	g.open.text = g.text.String()
}

// begin adds a record whose text comes next.
func (g *pager) begin(t *terms, r record) {
	if g.open == nil || len(g.open.records) == pageSize {
		g.seal()
		g.open = &page{records: make([]record, 0, pageSize), file: g.file}
		g.pages = append(g.pages, g.open)
	}
	r.at, r.terms = uint32(len(g.open.text)), g.shareTerms(t)
	g.open.records = append(g.open.records, r)
}

// shareTerms returns the index of these terms in the open page.
func (g *pager) shareTerms(t *terms) uint16 {
	p := g.open
	if len(p.terms) > 0 && g.last == *t {
		return g.lastRef
	}
	ref, ok := g.known[*t]
	if !ok {
		ref = uint16(len(p.terms))
		p.terms = append(p.terms, *t)
		g.known[*t] = ref
	}
	g.last, g.lastRef = *t, ref
	return ref
}

// seal ends the open page: it drops what the page has too much of.
func (g *pager) seal() {
	p := g.open
	if p == nil {
		return
	}
	p.text = strings.Clone(p.text)
	p.records = slices.Clip(p.records)
	if len(p.records) < pageSize {
		p.records = slices.Clone(p.records)
	}
	if before := len(g.pages) - 2; before >= 0 && slices.Equal(g.pages[before].terms, p.terms) {
		p.terms = g.pages[before].terms // in most files all mappings have the same
	}
	g.text = strings.Builder{}
	g.text.Grow(len(p.text) + len(p.text)/8)
	clear(g.known)
	g.open = nil
}

// with returns a copy of the page with one mapping in the place of the i-th, or after the
// others.
func (p *placedPage) with(i int, c *compiled) placedPage {
	g := newPager(p.file)
	for j := range max(i+1, len(p.records)) {
		if j == i {
			g.push(c)
			continue
		}
		e := p.entry(j)
		g.pushEntry(&e)
	}
	g.seal()
	return placedPage{page: g.pages[0], seq: p.seq}
}

// without returns a copy of the page in which the i-th mapping is removed.
func (p *page) without(i int) *page {
	next := *p
	next.records = slices.Clone(p.records)
	next.records[i].kind = noKind
	return &next
}
