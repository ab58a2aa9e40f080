package webmethods

import (
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// at returns the place of a line of the file.
func (d *document) at(line int) importer.Place { return importer.Place{File: d.file, Line: line} }

// record returns the record of a name in another one. It is empty if there is none, or null.
func (d *document) record(of entry, name string) (*value, error) {
	v := of.byName[name]
	switch {
	case v == nil || v.kind == "null":
		return &value{kind: "record"}, nil
	case v.kind != "record":
		return nil, d.error(of.line, "%s is not a record", escape.Quote(name, escape.Short))
	}
	return v, nil
}

// records returns the records in the record of a name in the whole file, which must have it.
func (d *document) records(name string) ([]entry, error) {
	if v := d.root.byName[name]; v == nil || v.kind != "record" {
		return nil, d.error(0, "the file has no record %s", escape.Quote(name, escape.Short))
	}
	all := d.root.byName[name].entries
	for _, e := range all {
		if e.kind != "record" {
			return nil, d.error(e.line, "%s is not a record", escape.Quote(e.name, escape.Short))
		}
	}
	return all, nil
}

// text returns the text of a name in a record. It is empty if there is none, or null.
func (d *document) text(of entry, name string) (string, error) {
	v := of.byName[name]
	switch {
	case v == nil || v.kind == "null":
		return "", nil
	case v.kind != "value" && v.kind != "number":
		return "", d.error(of.line, "%s is not a text", escape.Quote(name, escape.Short))
	}
	return v.text, nil
}

// texts returns texts of names in a record.
func (d *document) texts(of entry, names ...string) (map[string]string, error) {
	out := map[string]string{}
	for _, name := range names {
		text, err := d.text(of, name)
		if err != nil {
			return nil, err
		}
		out[name] = text
	}
	return out, nil
}

// set returns the names of a record whose entries have their own names as text.
func (d *document) set(of entry, name string) ([]string, error) {
	v, err := d.record(of, name)
	if err != nil {
		return nil, err
	}
	if d.visited += len(v.entries); d.visited > maxVisited {
		return nil, d.error(of.line, "the records of the file hold more than %d names together", maxVisited)
	}
	var out []string
	for _, e := range v.entries {
		if e.kind != "value" || e.text != strings.TrimSpace(e.name) || e.text == "" {
			return nil, d.error(e.line, "%s is not named like its text", escape.Quote(e.name, escape.Short))
		}
		out = append(out, e.text)
	}
	return out, nil
}

// list returns the texts of a list.
func (d *document) list(of entry, name string) ([]entry, error) {
	v := of.byName[name]
	if v == nil || v.kind == "null" {
		return nil, nil
	}
	if v.kind != "list" && v.kind != "array" {
		return nil, d.error(of.line, "%s is not a list", escape.Quote(name, escape.Short))
	}
	if d.visited += len(v.entries); d.visited > maxVisited {
		return nil, d.error(of.line, "the lists of the file hold more than %d texts together", maxVisited)
	}
	for _, e := range v.entries {
		if e.kind != "value" {
			return nil, d.error(e.line, "an element of %s is not a text", escape.Quote(name, escape.Short))
		}
	}
	return v.entries, nil
}
