package webmethods

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// access is the access list of a port: every service but the listed ones, or the listed ones
// alone.
type access struct {
	open   bool // every service but the listed ones
	closed bool // no service: the list is not understood
	listed map[string]bool
	order  []entry // of listed
}

// readAccess reads the access list of a port. A port without one opens nothing.
func (s *instance) readAccess(d *document, port entry, l *importer.Line) (access, error) {
	out := access{listed: map[string]bool{}, closed: true}
	all, err := d.record(entry{value: d.root}, "access")
	if err != nil {
		return out, err
	}
	v := all.byName[port.name]
	if v == nil || v.kind != "record" {
		l.Skip("the port has no access list: no service can be reached by it", "allow the services in the source")
		return out, nil
	}
	e := entry{port.name, port.line, v}
	mode, err := d.text(e, "default")
	if err != nil {
		return out, err
	}
	nodes, err := d.record(e, "nodes")
	if err != nil {
		return out, err
	}
	elements, err := d.list(entry{port.name, port.line, nodes}, "elements")
	if err != nil {
		return out, err
	}
	if mode != "include" && mode != "exclude" {
		l.Skip("the access list is neither include nor exclude: no service can be reached by the port", "set the access mode in the source")
		return out, nil
	}
	out.open, out.closed = mode == "include", false
	for _, f := range v.entries {
		if f.name != "home" && f.name != "default" && f.name != "nodes" && f.name != "key" && f.kind != "null" {
			l.Limit("the access list has "+escape.Quote(f.name, escape.Short)+", which may be a condition", "remove it in a copy of the file, if it is none")
			out.closed = true // fail closed: what the condition is, is not known
		}
	}
	for _, n := range elements {
		s.addListed(&out, d, n)
	}
	return out, nil
}

// addListed adds an element of an access list.
func (s *instance) addListed(out *access, d *document, n entry) {
	folder := !strings.Contains(n.text, ":")
	switch {
	case !isServiceName(n.text, folder) && out.open:
		s.in.Line(d.at(n.line), n.text).Limit("the port denies it, and it is not the name of a service or folder", "remove it from the access list")
		out.closed = true // fail closed: which services it denies is not known
	case !isServiceName(n.text, folder):
		s.in.Line(d.at(n.line), n.text).Skip("it is not the name of a service or folder", "remove it from the access list")
	case isBuiltIn(n.text) && !s.options.BuiltIn:
		s.builtIn++
	default:
		if !out.listed[n.text] {
			out.listed[n.text] = true
			out.order = append(out.order, n)
		}
		l := s.in.Line(d.at(n.line), n.text)
		l.Carry("on the access list of the port")
		v := s.service(n.text, l)
		v.known = v.known || !folder || !out.open
	}
}

// reaches reports whether a service, or every service in a folder, can be called by the port.
func (a *access) reaches(name string) bool {
	if a.closed {
		return false
	}
	if !a.open {
		return a.listed[name] || strings.Contains(name, ":") && a.listed[folderOf(name)]
	}
	for ; name != ""; name = folderOf(name) {
		if a.listed[name] {
			return false
		}
	}
	return true
}
