package pgident

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
	"github.com/mtlsguard/mtlsguard/internal/importer/regex"
)

const (
	maxDepth       = 10 // files in files, as in PostgreSQL
	maxFiles       = 1000
	maxEntries     = 1_000_000
	maxExpressions = 1000  // each is compared with every certificate of --certs
	maxWord        = 10239 // bytes, as in PostgreSQL
)

// file reads a file and those that it includes.
type file struct {
	in          *importer.Import
	main        string
	files       int
	entries     int
	expressions int
	maps        map[string][]*entry
	names       []string // of the maps, in their order
}

const loadHint = "select * from pg_ident_file_mappings shows what is wrong with it"

// read reads a file. PostgreSQL loads no line of a file with an error in one, so such a file is an
// error here too.
func (f *file) read(name string, depth int) error {
	if f.files++; f.files > maxFiles || depth > maxDepth {
		return &configerror.Error{File: name, What: "too many files are included, or they include one another", Hint: "name the file that has the map"}
	}
	data, err := f.in.ReadFile(name)
	if err != nil {
		return err
	}
	text := string(data)
	number := 0
	for text != "" {
		at := importer.Place{File: name, Line: number + 1}
		var line string
		for { // a backslash at the end joins two lines
			var part string
			var more bool
			part, text, more = strings.Cut(text, "\n")
			number++
			part = strings.TrimRight(part, "\r")
			before, joined := strings.CutSuffix(part, `\`)
			line += before
			if !joined || !more {
				break
			}
		}
		fail := func(what string) error {
			return &configerror.Error{File: name, Line: at.Line, What: what, Hint: loadHint}
		}
		fields, err := split(line)
		if err != nil {
			return fail(err.Error())
		}
		switch {
		case len(fields) == 0:
		case len(fields) == 2 && slices.Contains([]string{"include", "include_if_exists", "include_dir"}, fields[0].text):
			err = f.include(at, line, fields, depth)
		case len(fields) < 3:
			err = fail("a line is a map, a system user and a user of PostgreSQL")
		default:
			err = f.add(at, line, fields)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// add adds a line. PostgreSQL ignores the rest of the line after its third word.
func (f *file) add(at importer.Place, line string, fields []word) error {
	for _, w := range fields[:3] {
		if !w.quoted && strings.HasPrefix(w.text, "@") && len(w.text) > 1 {
			f.in.Line(at, line).Skip(fmt.Sprintf("%s stands for the words of a file", escape.Quote(w.text, escape.Short)), "write them into the line")
			return nil
		}
	}
	e := &entry{place: at, text: line, system: fields[1].text, user: fields[2].text, userIsQuoted: fields[2].quoted}
	if text, ok := strings.CutPrefix(e.system, "/"); ok {
		e.isExpression = true
		e.capturesTheUser = strings.Contains(e.user, `\1`)
		if !strings.Contains(text, "(?") || strings.Count(text, "(?") == strings.Count(text, "(?:") { // PostgreSQL has no named captures
			e.expression, _ = regex.Parse(text, false)
		}
		f.expressions++
	}
	if f.entries++; f.entries > maxEntries || f.expressions > maxExpressions {
		return &configerror.Error{File: at.File, Line: at.Line, What: fmt.Sprintf("more than %d lines, or %d regular expressions", maxEntries, maxExpressions), Hint: "split the file"}
	}
	name := fields[0].text
	if f.maps[name] == nil {
		f.names = append(f.names, name)
	}
	f.maps[name] = append(f.maps[name], e)
	return nil
}

// include reads the files of include, include_if_exists and include_dir, of PostgreSQL 16 and later.
func (f *file) include(at importer.Place, line string, fields []word, depth int) error {
	path, err := f.in.Inside(at.File, fields[1].text)
	if err != nil {
		f.in.Line(at, line).Skip("the file is not in the folder of "+filepath.Base(at.File), "copy it into the folder, and name it relative to it")
		return nil
	}
	paths := []string{path}
	if fields[0].text == "include_dir" {
		all, err := os.ReadDir(path)
		if err != nil {
			return &configerror.Error{File: at.File, Line: at.Line, What: "the folder cannot be read", Hint: loadHint}
		}
		paths = nil
		for _, one := range all {
			if name := one.Name(); filepath.Ext(name) == ".conf" && !strings.HasPrefix(name, ".") {
				if _, err := f.in.Inside(at.File, filepath.Join(fields[1].text, name)); err == nil {
					paths = append(paths, filepath.Join(path, name))
				}
			}
		}
	}
	for _, path := range paths {
		if err := f.read(path, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// word is a field of a line.
type word struct {
	text   string
	quoted bool // it begins with a quote
}

var (
	errSeveral = errors.New("a field has several values: a comma separates them outside of quotes")
	errLong    = fmt.Errorf("a word is longer than %d bytes", maxWord)
	errNUL     = errors.New("the line has a NUL")
)

// split returns the fields of a line, as PostgreSQL reads them: between blanks; quotes keep blanks,
// commas and #; two quotes inside of quotes are one.
func split(line string) (out []word, err error) {
	if strings.IndexByte(line, 0) >= 0 {
		return nil, errNUL
	}
	several := false // the word before ended in a comma
	for {
		line = strings.TrimLeft(line, " \t\r,")
		w, rest, comma, ok := next(line)
		if !ok {
			return out, nil
		}
		if several {
			return nil, errSeveral
		}
		if len(w.text) > maxWord {
			return nil, errLong
		}
		out, line, several = append(out, w), rest, comma
	}
}

// next returns the first word of a line, and whether a comma ends it.
func next(line string) (w word, rest string, comma, ok bool) {
	var b strings.Builder
	inside, wasQuote, anyQuote := false, false, false
	i := 0
	for ; i < len(line) && (inside || !strings.ContainsRune(" \t\r", rune(line[i]))); i++ {
		c := line[i]
		if c == '#' && !inside {
			i = len(line)
			break
		}
		if c == ',' && !inside {
			comma = true
			i++
			break
		}
		if c != '"' || wasQuote {
			b.WriteByte(c)
		}
		wasQuote = inside && c == '"' && !wasQuote
		if c == '"' {
			inside, anyQuote = !inside, true
			w.quoted = w.quoted || b.Len() == 0
		}
	}
	w.text = b.String()
	return w, line[i:], comma, anyQuote || w.text != ""
}
