package policy

import (
	"math"
	"strings"
)

// lineTable is the lines of one type, as text: one string and no pointers, so that a
// large policy costs the collector nothing.
type lineTable struct {
	text   string
	ends   []uint32 // of each line in text
	files  []string // the files that the lines name
	places []place
}

// place is the file of a line, as an index, and its number there.
type place struct{ file, line uint32 }

// maxText bounds the text of all lines: offsets have 32 bits.
const maxText = math.MaxUint32

func (t *lineTable) len() int { return len(t.ends) }

// at returns the fields of the i-th line, joined by commas.
func (t *lineTable) at(i int) string {
	from := uint32(0)
	if i > 0 {
		from = t.ends[i-1]
	}
	return t.text[from:t.ends[i]]
}

// position returns where the i-th line is written. It allocates nothing.
func (t *lineTable) position(i int) Position {
	p := t.places[i]
	return Position{File: t.files[p.file], Line: int(p.line), Number: i + 1}
}

// newLineTable stores n lines of a size in bytes together, which line writes. No field
// contains a comma, so the fields come apart again.
func newLineTable(n int, size uint64, line func(i int, to *strings.Builder) (file string, number int)) lineTable {
	t := lineTable{ends: make([]uint32, n), places: make([]place, n)}
	var text strings.Builder
	text.Grow(int(size)) // build has bounded it
	index := map[string]uint32{}
	last, lastID := "", noID // most lines are of one file
	for i := range n {
		file, number := line(i, &text)
		t.ends[i] = uint32(text.Len())                     // as above
		if number < 0 || uint64(number) > math.MaxUint32 { // an int may have 32 bits
			number = 0
		}
		if lastID == noID || file != last {
			at, ok := index[file]
			if !ok {
				at = uint32(len(t.files)) // fewer than n
				file = strings.Clone(file)
				index[file] = at
				t.files = append(t.files, file)
			}
			last, lastID = file, at
		}
		t.places[i] = place{file: lastID, line: uint32(number)} // checked above
	}
	t.text = text.String()
	return t
}

// sizeOf returns the bytes of rules and of memberships in a lineTable.
func sizeOf(rules []Rule, members []Member) (ofRules, ofMembers uint64) {
	for i := range rules {
		r := &rules[i]
		ofRules += uint64(len(r.Subject) + len(r.Port) + len(r.Method) + len(r.Path) + len(r.Effect) + len(",,,,"))
	}
	for i := range members {
		ofMembers += uint64(len(members[i].Subject) + len(members[i].Group) + len(","))
	}
	return ofRules, ofMembers
}

// rule returns the i-th rule. Its fields are parts of the stored line: Explain and Lint read
// every rule, and allocate nothing for it.
func (e *Engine) rule(i int) Rule {
	at := e.rules.position(i)
	r := Rule{File: at.File, Line: at.Line}
	rest := e.rules.at(i)
	for _, field := range []*string{&r.Subject, &r.Port, &r.Method, &r.Path, &r.Effect} {
		*field, rest, _ = strings.Cut(rest, ",")
	}
	return r
}

// member returns the i-th membership.
func (e *Engine) member(i int) Member {
	subject, group, _ := strings.Cut(e.members.at(i), ",")
	at := e.members.position(i)
	return Member{Subject: subject, Group: group, File: at.File, Line: at.Line}
}

// Rules returns the rules and the memberships of the policy, each in their order. The
// slices belong to the caller. Both are nil for a nil Engine and for the zero value.
func (e *Engine) Rules() ([]Rule, []Member) {
	if !e.isBuilt() {
		return nil, nil
	}
	rules, members := make([]Rule, e.rules.len()), make([]Member, e.members.len())
	for i := range rules {
		rules[i] = e.rule(i)
	}
	for i := range members {
		members[i] = e.member(i)
	}
	return rules, members
}
