package certmap

import (
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
	"github.com/mtlsguard/mtlsguard/trust"
)

// Option changes how Load reads a file.
type Option func(*loader)

// WithPorts names the ports. A mapping for another port is then an error. Without this
// option Load takes every name.
func WithPorts(names ...string) Option {
	return func(l *loader) {
		l.ports = map[string]bool{}
		for _, n := range names {
			l.ports[n] = true
		}
	}
}

// WithIssuers sets the function that returns the SHA-256 of the public key of the CA
// certificate in a file, for mappings that name their issuer by file. Load calls it once
// for each path, as written; the function decides what the path is relative to. Without
// this option an issuer that is not a SHA-256 is an error.
func WithIssuers(read func(path string) (trust.Digest, error)) Option {
	return func(l *loader) { l.readIssuer = read }
}

// Load reads users.yaml and makes its table. The error joins every configuration error with
// file, line and hint: unknown keys, missing values, and everything that New would report,
// conflicts included. name stands for the file in errors. A file without content is an
// error; "mappings: []" maps no certificate.
//
// A file whose name ends in .jsonl holds JSON lines by the same rules: one mapping a line
// with the keys of users.yaml. It is for tables that a program writes, because it is read
// faster than YAML.
//
//	{"id": "alice-2026", "user": "alice", "fingerprint": "9f86…"}
//
// Values are taken as written: serial: 1000 is hex, with or without quotes. Aliases are
// followed; tags, merge keys and a second document are errors.
func Load(name string, r io.Reader, options ...Option) (*Table, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, &configerror.Error{File: name, What: "the file cannot be read: " + err.Error()}
	}
	l := loader{file: name, issuers: map[string]trust.Digest{}, builder: newBuilder(0)}
	l.doc = strictyaml.Doc{File: name, Wrong: &l.report.List}
	for _, o := range options {
		o(&l)
	}
	if strings.HasSuffix(name, ".jsonl") {
		l.readLines(data)
	} else {
		l.readYAML(data)
	}
	return l.table()
}

type loader struct {
	*builder
	file       string
	doc        strictyaml.Doc
	ports      map[string]bool // nil means every name
	readIssuer func(path string) (trust.Digest, error)
	issuers    map[string]trust.Digest // by path: each file is read once; zero: its error is reported
}

const emptyHint = "mappings: [] maps no certificate"

// readYAML reads users.yaml. Parsing YAML takes most of the time of a large file: 100,000
// mappings took 1.4 s of CPU with strictyaml's checks, and 1.2 s with checks written for this
// file alone (both measured in one run). So the rules are not written twice.
func (l *loader) readYAML(data []byte) {
	root := l.doc.Parse(data)
	if root == nil {
		return
	}
	if isNull(root) {
		l.doc.Say(root, "the file is empty", emptyHint)
		return
	}
	list := l.doc.Map(root, "the file", "mappings")["mappings"]
	switch {
	case list == nil && l.report.Len() > 0: // reported
	case list == nil:
		l.doc.Say(root, "mappings is missing", emptyHint)
	case isNull(list):
		l.doc.Say(list, "mappings is empty", emptyHint)
	default:
		nodes := l.doc.List(list, "mappings")
		l.t = newTable(len(nodes))
		for i, node := range nodes {
			if l.readMapping(i+1, node); l.report.full() {
				return
			}
		}
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// readMapping reads one mapping, the number counted from 1, and adds it to the table.
func (l *loader) readMapping(number int, node *yaml.Node) {
	e := mappingReader{loader: l, at: origin{file: l.file, line: node.Line, number: number}}
	if node.Kind != yaml.MappingNode {
		l.doc.Say(node, e.at.label()+" is not a map", "- {id: …, user: …, …}")
		return
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if id := node.Content[i+1]; node.Content[i].Value == "id" && id.Kind == yaml.ScalarNode {
			e.at.id = id.Value // before anything else, because every error names the mapping by it
			break
		}
	}
	e.m = Mapping{File: l.file, Line: node.Line}
	before := l.report.Len()
	values := l.doc.Map(node, e.at.label(), fieldNames[fieldID:]...)
	for f := fieldID; f < fieldCount; f++ {
		if value := values[fieldNames[f]]; value != nil {
			e.at.fields[f] = position{value.Line, value.Column}
			e.readField(f, value)
		}
	}
	if l.report.Len() == before && !e.wrong[fieldIssuer] { // an issuer may be wrong whose error is reported already
		l.add(&e.at, &e.m)
		return
	}
	id := e.m.ID
	e.fillWrongFields()
	compile(&l.report, &e.at, &e.m)
	if id != "" && l.claimID(&e.at, id) {
		l.reject(&e.at, id)
	}
}
