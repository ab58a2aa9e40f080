package certmap

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Issuer finds the SHA-256 of the public key of the CA certificate in a file that
// users.yaml names. What a path is relative to is its caller's business.
type Issuer = func(path string) (trust.Digest, error)

// Option changes how users.yaml is read.
type Option func(*reader)

// WithPorts says which ports there are. A mapping for another is a mistake; without
// this option every name is taken.
func WithPorts(names ...string) Option {
	return func(r *reader) {
		r.ports = map[string]bool{}
		for _, n := range names {
			r.ports[n] = true
		}
	}
}

// Read reads users.yaml. The name stands in messages. Every mistake is reported,
// joined, each with file, line and a hint: what is not understood, what is missing,
// what New would refuse, conflicts included. A file that says nothing is a mistake;
// "mappings: []" says that nobody is mapped.
//
// A name that ends in LinesSuffix is a file of JSON lines, by the same rules.
//
// Values are taken as they are written: serial: 1000 is hex, whether or not it is
// quoted. Aliases are followed; tags, merge keys and a second document are mistakes.
func Read(name string, data []byte, issuer Issuer, options ...Option) ([]Mapping, error) {
	t, err := ReadTable(name, data, issuer, options...)
	if err != nil {
		return nil, err
	}
	return t.Mappings(), nil
}

// ReadTable is Read and New in one, which takes half the time of both.
func ReadTable(name string, data []byte, issuer Issuer, options ...Option) (*Table, error) {
	r := reader{file: name, issuer: issuer, issuers: map[string]issuerFile{}, b: newBuilder(0)}
	for _, o := range options {
		o(&r)
	}
	if isLines(name) {
		r.readLines(data)
		return r.b.table()
	}
	if root := r.parse(data); root != nil {
		r.document(root)
	}
	return r.b.table()
}

type reader struct {
	file    string
	issuer  Issuer
	issuers map[string]issuerFile // by path: each is read once
	ports   map[string]bool       // nil: any
	b       *builder
}

func (r *reader) wrong(line int, what, hint string) {
	r.b.report.add(configerror.Error{File: r.file, Line: line, What: what, Hint: hint})
}

// parse reads one document, or reports why not.
func (r *reader) parse(data []byte) *yaml.Node {
	root, err := strictyaml.Read(r.file, data)
	for _, m := range configerror.All(err) {
		if m.Hint == "" && m.What == "the file is empty" {
			m.Line, m.Hint = 1, "mappings: [] maps nobody"
		}
		r.b.report.add(*m)
	}
	return root
}

// document reads the top of the file.
func (r *reader) document(root *yaml.Node) {
	root = follow(root)
	if isNull(root) {
		r.wrong(root.Line, "the file is empty", "mappings: [] maps nobody")
		return
	}
	if root.Kind != yaml.MappingNode {
		r.wrong(root.Line, "the file is "+shape(root), "mappings: with a list below")
		return
	}
	var list *yaml.Node
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || key.Value != "mappings":
			r.wrong(key.Line, "unknown key "+escape.Quote(key.Value, escape.Short), "the only key is mappings")
		case list != nil:
			r.wrong(key.Line, "mappings twice", "one list holds them all")
		default:
			list = value
		}
	}
	if list == nil {
		r.wrong(root.Line, "no mappings", "mappings: [] maps nobody")
		return
	}
	line := list.Line
	switch list = follow(list); {
	case isNull(list):
		r.wrong(line, "mappings is empty", "mappings: [] maps nobody")
	case list.Kind != yaml.SequenceNode:
		r.wrong(line, "mappings is "+shape(list), "a list is wanted: - {id: …, user: …, …}")
	default:
		r.b.t = newTable(len(list.Content))
		for i, node := range list.Content {
			if r.entry(i+1, node); r.b.report.full() {
				return
			}
		}
	}
}

// follow follows one alias. An anchor cannot stand on an alias, so there is no
// second one, and every level of the file is walked once: no text makes this long.
func follow(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// isNull reports whether nothing is written, or null.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// shape names what a node is.
func shape(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a map"
	case yaml.SequenceNode:
		return "a list"
	case yaml.ScalarNode:
		if isNull(n) {
			return "empty"
		}
		return "the text " + escape.Quote(n.Value, escape.Short)
	}
	return "an alias"
}

// issuerOf reads an issuer: a digest, or a file that the callback reads.
func (r *reader) issuerOf(text string) (trust.Digest, error) {
	d, err := trust.ParseDigest(text)
	if err == nil {
		if d.IsZero() {
			return d, errZeroDigest
		}
		return d, nil
	}
	if looksLikeDigest(text) {
		return trust.Digest{}, err
	}
	if strings.ContainsRune(text, 0) {
		return trust.Digest{}, errors.New("a NUL in a file name")
	}
	file, known := r.issuers[text]
	if !known {
		file = r.readIssuer(text)
		r.issuers[text] = file
	}
	if file.err != nil && r.b.told[text] {
		return trust.Digest{}, errTold
	}
	r.b.told[text] = true
	return file.key, file.err
}

// issuerFile is what a file that was named as issuer holds.
type issuerFile struct {
	key trust.Digest
	err error
}

func (r *reader) readIssuer(path string) issuerFile {
	if r.issuer == nil {
		return issuerFile{err: fmt.Errorf("%s: files are not read here", escape.Quote(path, escape.Short))}
	}
	key, err := r.issuer(path)
	if err == nil && key.IsZero() {
		err = fmt.Errorf("%s: no public key", escape.Quote(path, escape.Short))
	}
	return issuerFile{key, err}
}

var (
	errTold       = errors.New("this issuer's mistake was told before")
	errZeroDigest = errors.New("a SHA-256 of zeros only belongs to nothing")
)

// looksLikeDigest tells a mistyped digest from a file name, so that the mistake
// names the right thing.
func looksLikeDigest(text string) bool {
	if len(text) >= 7 && strings.EqualFold(text[:7], "sha256:") {
		return true
	}
	for i := range len(text) {
		if unhex(text[i]) < 0 && text[i] != ':' {
			return false
		}
	}
	return len(text) >= 32
}
