package importer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/username"
)

// Place is a line of a file, from 1. Line 0 is the whole file.
type Place struct {
	File string
	Line int
}

// Result is what became of a line.
type Result string

const (
	Carried    Result = "carried"
	Changed    Result = "changed"     // carried, with a difference that makes it narrower
	NotCarried Result = "not carried" // at least a part of it
)

// Note is a difference between the source and the result.
type Note struct {
	What string `json:"what"`
	Hint string `json:"hint,omitempty"`
}

// Line is a part of the source with a meaning of its own, and what became of it.
type Line struct {
	Place
	Text    string
	Result  Result
	Written []string // ids of mappings and lines of the other files
	Notes   []Note

	in     *Import
	order  int // of the file
	blocks []Note
}

// maxText is how much of a line the report quotes, in bytes.
const maxText = 200

// lineKey identifies a line of the report: a file may have several parts on one line.
type lineKey struct {
	place Place
	text  string
}

// Line returns the line at a place for reporting, the same one for the same text. text is the source's text there, without
// its secrets.
func (in *Import) Line(at Place, text string) *Line {
	text = escape.Printable(text, maxText)
	key := lineKey{at, text}
	if l := in.byPlace[key]; l != nil {
		return l
	}
	order := slices.Index(in.sources, at.File)
	if order < 0 {
		order = len(in.sources)
		in.sources = append(in.sources, at.File)
	}
	l := &Line{Place: at, Text: text, Result: Carried, in: in, order: order}
	in.byPlace[key] = l
	in.lines = append(in.lines, l)
	return l
}

// Skip reports that the line, or a part of it, is not carried.
func (l *Line) Skip(why, hint string) {
	l.Result = NotCarried
	l.note(why, hint)
}

// Change reports that the line is carried with a difference, which must make it narrower.
func (l *Line) Change(what string) {
	if l.Result == Carried {
		l.Result = Changed
	}
	l.note(what, "")
}

// Carry reports a meaning of the line that holds here without a line of its own.
func (l *Line) Carry(what string) { l.Written = append(l.Written, what) }

// Limit reports a denial or a condition that is not carried. It returns true if the caller must
// leave out the grants that it limits. Otherwise the import ends without a result.
func (l *Line) Limit(why, hint string) bool {
	l.Result = NotCarried
	if l.in.options.Narrow {
		l.note(why+" (--narrow: what it limits is left out)", hint)
		return true
	}
	l.note(why, hint)
	l.blocks = append(l.blocks, Note{why, hint})
	return false
}

func (l *Line) note(what, hint string) {
	n := Note{escape.Printable(what, 0), escape.Printable(hint, 0)}
	if !slices.Contains(l.Notes, n) {
		l.Notes = append(l.Notes, n)
	}
}

// User returns the user for a name of the source. If it is not a user name and not renamed,
// User reports the line and returns false.
func (l *Line) User(name string) (string, bool) { return l.name(name, "user") }

// Group does the same for a group.
func (l *Line) Group(name string) (string, bool) { return l.name(name, "group") }

func (l *Line) name(name, what string) (string, bool) {
	to, _ := l.in.Rename(name)
	if username.IsUser(to) {
		return to, true
	}
	why := fmt.Sprintf("%s is not a %s name", escape.Quote(to, escape.Short), what)
	if username.Canonical(to) != "" {
		why = fmt.Sprintf("%s is a reserved name", escape.Quote(to, escape.Short))
	}
	hint := "--rename-file FILE with a line " + escape.Printable(name, escape.Short) + "=NAME"
	if !strings.ContainsAny(name, "\n\r") {
		hint = "--rename " + escape.Shell(name+"=NAME")
	}
	l.Skip(why, hint)
	return "", false
}
