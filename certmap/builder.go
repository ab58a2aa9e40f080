package certmap

import (
	"strconv"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// builder fills a table that no other goroutine uses yet, one mapping after another, and reports
// every error. Every other way of making a table accepts the same mappings and reports the same
// errors.
type builder struct {
	t        *Table
	pager    pager
	report   report
	rejected map[string]origin // mappings with errors by id, for finding repeated ids
}

func newBuilder(n int) *builder {
	return &builder{t: newTable(n), pager: newPager(""), rejected: map[string]origin{}}
}

// add adds a mapping, or reports its errors.
func (b *builder) add(at *origin, m *Mapping) {
	c, ok := compile(&b.report, at, m)
	if m.ID != "" && !b.claimID(at, m.ID) {
		return
	}
	if !ok {
		b.addWrong(at, m.ID)
		return
	}
	b.pager.push(&c)
	b.check(at)
}

// addPlain adds a mapping unless it has errors, apart from those that add would report about
// other mappings.
func (b *builder) addPlain(m *Mapping) bool {
	var wrong report
	c, ok := compile(&wrong, &origin{}, m)
	if !ok {
		return false
	}
	at := origin{file: m.File, line: m.Line, id: m.ID}
	if b.claimID(&at, m.ID) {
		b.pager.push(&c)
		b.check(&at)
	}
	return true
}

// addEntry adds a mapping that is correct by itself.
func (b *builder) addEntry(e *entry) {
	at := origin{file: e.terms.file, line: int(e.line), id: e.id()}
	if b.claimID(&at, at.id) {
		b.pager.pushEntry(e)
		b.check(&at)
	}
}

// check adds the last mapping of the pager to the table, or reports a conflict.
func (b *builder) check(at *origin) {
	p := b.pager.open
	i := len(p.records) - 1
	if e := p.entry(i); !b.t.checkConflict(&b.report, at, &e) {
		p.records[i].kind = noKind
		b.addWrong(at, at.id)
		return
	}
	b.link()
}

// link adds the last mapping of the pager to the table.
func (b *builder) link() {
	t, p := b.t, b.pager.open
	seq := len(b.pager.pages) - 1
	if seq == len(t.order) { // no removed page: the numbers are in order
		t.addPage(placedPage{page: p, seq: seq})
	}
	i := len(p.records) - 1
	e := p.entry(i)
	t.link(refOf(t.order[seq], i), &e)
}

// addWrong remembers the id of a mapping that is not in the table.
func (b *builder) addWrong(at *origin, id string) {
	if id != "" {
		b.rejected[id] = *at
	}
}

// claimID reports an id that another mapping has, and returns false then.
func (b *builder) claimID(at *origin, id string) bool {
	first, seen := b.rejected[id]
	if r := b.t.findID(id); r != 0 {
		e := b.t.at(r)
		first, seen = origin{file: e.terms.file, line: int(e.line)}, true
	}
	if seen {
		where := ""
		switch {
		case first.file != at.file && first.line > 0:
			where = ", first at " + (&configerror.Error{File: first.file, Line: first.line}).Position()
		case first.line > 0:
			where = ", first at line " + strconv.Itoa(first.line)
		}
		b.report.Add(at.err(fieldID, "the id is not unique"+where, "give every mapping an id of its own"))
	}
	return !seen
}

// table returns the table, or every error.
func (b *builder) table() (*Table, error) {
	if err := b.report.err(); err != nil {
		return nil, err
	}
	return b.finish(), nil
}

func (b *builder) finish() *Table {
	b.pager.seal()
	return b.t
}
