package apacheconf

import (
	"fmt"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

const (
	maxDepth      = 32      // sections in sections, and files in files
	maxFiles      = 1000    // with those of Include
	maxDirectives = 100_000 // of all files
	maxLine       = 8190    // bytes of a line of the other files, as in httpd
)

// node is a directive or a section.
type node struct {
	place    importer.Place
	text     string
	name     string // in lower case
	words    []string
	section  bool
	children []*node
	missing  bool // an Include without a file in the folder
}

// config reads a configuration.
type config struct {
	in         *importer.Import
	main       string
	files      int
	directives int
}

const syntaxHint = "apache2ctl -t shows what is wrong with it"

// read reads a file as the directives of a section.
func (c *config) read(name string, depth int) ([]*node, error) {
	if c.files++; c.files > maxFiles || depth > maxDepth {
		return nil, &configerror.Error{File: name, What: "too many files are included, or they include one another", Hint: "name the file that has the Location sections"}
	}
	data, err := c.in.ReadFile(name)
	if err != nil {
		return nil, err
	}
	root := &node{section: true}
	open := []*node{root}
	fail := func(line int, what string) error {
		return &configerror.Error{File: name, Line: line, What: what, Hint: syntaxHint}
	}
	for _, l := range joinLines(string(data)) {
		if c.directives++; c.directives > maxDirectives {
			return nil, fail(l.number, fmt.Sprintf("more than %d directives", maxDirectives))
		}
		at := importer.Place{File: name, Line: l.number}
		top := open[len(open)-1]
		if closed, ok := strings.CutPrefix(l.text, "</"); ok {
			closed = strings.ToLower(strings.TrimSpace(strings.TrimSuffix(closed, ">")))
			if len(open) == 1 || top.name != closed {
				return nil, fail(l.number, fmt.Sprintf("</%s> closes no section", closed))
			}
			open = open[:len(open)-1]
			continue
		}
		n := &node{place: at, text: l.text}
		rest := l.text
		if rest, n.section = strings.CutPrefix(rest, "<"); n.section {
			end := strings.LastIndexByte(rest, '>')
			if end < 0 {
				return nil, fail(l.number, "a section without >")
			}
			rest = rest[:end]
		}
		words, ok := splitWords(rest)
		if !ok || len(words) == 0 {
			return nil, fail(l.number, "this is not a directive of httpd")
		}
		n.name, n.words = strings.ToLower(words[0]), words[1:]
		top.children = append(top.children, n)
		switch {
		case n.section:
			if open = append(open, n); len(open)+depth > maxDepth {
				return nil, fail(l.number, "sections in too many sections")
			}
		case n.name == "include" || n.name == "includeoptional":
			if err := c.include(n, depth); err != nil {
				return nil, err
			}
		}
	}
	if top := open[len(open)-1]; top != root {
		return nil, fail(top.place.Line, fmt.Sprintf("<%s> is not closed", top.name))
	}
	return root.children, nil
}

// include reads the files of an Include. Their directives stand in its place.
func (c *config) include(n *node, depth int) error {
	if len(n.words) != 1 {
		return &configerror.Error{File: n.place.File, Line: n.place.Line, What: "Include has one file", Hint: syntaxHint}
	}
	for _, path := range c.in.Glob(c.main, n.words[0]) {
		all, err := c.read(path, depth+1)
		if err != nil {
			return err
		}
		n.children = append(n.children, all...)
	}
	n.missing = len(n.children) == 0
	return nil
}

// line is a line of a file of httpd. A backslash at its end joins it with the next.
type line struct {
	number int
	text   string
}

// joinLines returns the lines of a file without comments and blanks around them.
func joinLines(text string) (out []line) {
	number := 0
	for text != "" {
		first, whole := number+1, ""
		for {
			part, rest, more := strings.Cut(text, "\n")
			text = rest
			number++
			part = strings.TrimSuffix(part, "\r")
			before, joined := strings.CutSuffix(part, `\`)
			if whole += before; !joined || !more {
				break
			}
		}
		if whole = strings.Trim(whole, " \t\r\v\f"); whole != "" && whole[0] != '#' {
			out = append(out, line{first, whole})
		}
	}
	return out
}

// splitWords returns the words of a line. Quotes keep blanks; in them a backslash stands before a
// quote or a backslash. It returns false for a quote without an end.
func splitWords(text string) (out []string, ok bool) {
	for {
		text = strings.TrimLeft(text, " \t\r\v\f")
		if text == "" {
			return out, true
		}
		quote := text[0]
		if quote != '"' && quote != '\'' {
			end := strings.IndexAny(text, " \t\r\v\f")
			if end < 0 {
				end = len(text)
			}
			out, text = append(out, text[:end]), text[end:]
			continue
		}
		var b strings.Builder
		i := 1
		for ; i < len(text) && text[i] != quote; i++ {
			if text[i] == '\\' && i+1 < len(text) && (text[i+1] == quote || text[i+1] == '\\') {
				i++
			}
			b.WriteByte(text[i])
		}
		if i >= len(text) {
			return nil, false
		}
		out, text = append(out, b.String()), text[i+1:]
	}
}
