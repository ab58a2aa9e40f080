package nginxconf

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

const (
	maxDepth   = 32        // blocks in blocks
	maxFiles   = 1000      // with those of include
	maxEntries = 1_000_000 // of all maps
	maxRegexes = 1000      // of a map: each is compared with those before it
)

// config is what matters of a configuration.
type config struct {
	in          *importer.Import
	main        string // include is relative to its folder
	files       int
	entries     int
	maps        []*mapBlock
	authorities []string // of ssl_client_certificate
	unchecked   bool     // ssl_verify_client optional_no_ca
	depths      []string // of ssl_verify_depth
	revocation  []string // directives that refuse revoked certificates
}

// mapBlock is a map of a configuration.
type mapBlock struct {
	place         importer.Place
	source, name  string // with their $
	exact         []*entry
	keys          map[string]bool // of exact, in lower case
	patterns      []*entry
	otherwise     *entry // nil: ""
	hostnames     bool
	missing       []importer.Place // includes that cannot be read
	missingByName []string
}

// entry is a line of a map.
type entry struct {
	place importer.Place
	key   string // without the ~ of a pattern
	value string
	regex bool // ~
	fold  bool // ~*
}

// text returns the entry for the report.
func (e *entry) text() string {
	key := e.key
	switch {
	case e.fold:
		key = "~*" + key
	case e.regex:
		key = "~" + key
	}
	return key + " " + e.value + ";"
}

// read reads a file, and the files that it includes.
func (c *config) read(name string, depth int) error {
	return c.each(name, depth, func(words []token, p *parser) error { return c.directive(name, words, p, depth) })
}

// each calls f for every directive of a file. words are those before the ; or {.
func (c *config) each(name string, depth int, f func(words []token, p *parser) error) error {
	if c.files++; c.files > maxFiles || depth > maxDepth {
		return &configerror.Error{File: name, What: "too many files are included, or they include one another", Hint: "name the file that has the map"}
	}
	data, err := c.in.ReadFile(name)
	if err != nil {
		return err
	}
	tokens, line, err := tokenize(string(data))
	if err != nil {
		return &configerror.Error{File: name, Line: line, What: "this is not a configuration of nginx: a quote is not closed, or text follows it", Hint: "nginx -t shows what is wrong with it"}
	}
	p := &parser{file: name, tokens: tokens}
	return p.block(0, f)
}

// directive reads a directive outside of maps. p is not nil if a block follows.
func (c *config) directive(file string, words []token, p *parser, depth int) error {
	at := importer.Place{File: file, Line: words[0].line}
	switch name := words[0].text; {
	case name == "map" && p != nil && len(words) == 3:
		m := &mapBlock{keys: map[string]bool{}, place: at, source: words[1].text, name: words[2].text}
		c.maps = append(c.maps, m)
		return p.block(depth+1, func(words []token, inner *parser) error {
			if inner != nil {
				return inner.fail(words[0].line, "a block in a map")
			}
			return c.mapDirective(file, m, words, depth)
		})
	case p != nil && strings.HasSuffix(name, "_by_lua_block"):
		return p.fail(at.Line, "a block of Lua, which is not read: name a file with the map alone")
	case p != nil:
		return p.block(depth+1, func(words []token, inner *parser) error { return c.directive(file, words, inner, depth+1) })
	case name == "include" && len(words) == 2:
		for _, path := range c.included(at, words[1].text) {
			if err := c.read(path, depth+1); err != nil {
				return err
			}
		}
	case name == "ssl_client_certificate" && len(words) == 2:
		if !slices.Contains(c.authorities, words[1].text) {
			c.authorities = append(c.authorities, words[1].text)
		}
	case name == "ssl_verify_client" && len(words) == 2 && words[1].text == "optional_no_ca":
		c.unchecked = true
	case name == "ssl_verify_depth" && len(words) == 2:
		c.depths = append(c.depths, words[1].text)
	case name == "ssl_crl" && len(words) == 2, name == "ssl_ocsp" && len(words) == 2 && words[1].text != "off":
		c.revocation = append(c.revocation, name)
	}
	return nil
}

// included returns the files of an include outside of maps. One that is not there is reported
// as a remark.
func (c *config) included(at importer.Place, name string) []string {
	paths := c.in.Glob(c.main, name)
	if len(paths) == 0 {
		c.in.Remark(fmt.Sprintf("%s:%d: include %s: no such file in the folder of %s; it is not read", at.File, at.Line, escape.Quote(name, escape.Short), filepath.Base(c.main)))
	}
	return paths
}

// mapDirective reads a line of a map.
func (c *config) mapDirective(file string, m *mapBlock, words []token, depth int) error {
	at := importer.Place{File: file, Line: words[0].line}
	if c.entries++; c.entries > maxEntries {
		return &configerror.Error{File: file, Line: at.Line, What: fmt.Sprintf("the maps have more than %d lines", maxEntries), Hint: "split the file"}
	}
	first := words[0].text
	switch {
	case len(words) == 1 && first == "hostnames":
		m.hostnames = true
		return nil
	case len(words) == 1 && first == "volatile":
		return nil
	case len(words) != 2:
		return &configerror.Error{File: file, Line: at.Line, What: "a line of a map is a key and a value", Hint: "nginx -t shows what is wrong with it"}
	}
	e := &entry{place: at, key: first, value: words[1].text}
	switch {
	case first == "include":
		paths := c.in.Glob(c.main, e.value)
		if len(paths) == 0 {
			m.missing, m.missingByName = append(m.missing, at), append(m.missingByName, e.value)
		}
		for _, path := range paths {
			err := c.each(path, depth+1, func(words []token, inner *parser) error {
				if inner != nil {
					return inner.fail(words[0].line, "a block in a map")
				}
				return c.mapDirective(path, m, words, depth+1)
			})
			if err != nil {
				return err
			}
		}
	case first == "default":
		m.otherwise = e
	case strings.HasPrefix(first, "~*"):
		e.key, e.regex, e.fold = first[2:], true, true
		m.patterns = append(m.patterns, e)
	case strings.HasPrefix(first, "~"):
		e.key, e.regex = first[1:], true
		m.patterns = append(m.patterns, e)
	default:
		e.key = strings.TrimPrefix(first, `\`)
		if folded := importer.FoldASCII(e.key); m.keys[folded] {
			return &configerror.Error{File: file, Line: at.Line, What: fmt.Sprintf("the map has the key %s twice; case does not count", escape.Quote(e.key, escape.Short)), Hint: "nginx does not start with it: remove one of the lines"}
		}
		m.keys[importer.FoldASCII(e.key)] = true
		m.exact = append(m.exact, e)
	}
	if len(m.patterns) > maxRegexes {
		return &configerror.Error{File: file, Line: at.Line, What: fmt.Sprintf("the map has more than %d regular expressions", maxRegexes), Hint: "write exact keys"}
	}
	return nil
}
