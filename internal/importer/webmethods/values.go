package webmethods

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

const (
	maxDepth  = 32        // of elements
	maxValues = 1_000_000 // elements of a file
	// maxVisited is how many names the records of a file may hold together. By idref many records
	// are one element.
	maxVisited = 2 * maxValues
)

// value is an element of a file. Its kind is the element's name: value, number, record, list,
// array, null, or one that has no meaning here.
type value struct {
	kind    string
	text    string
	entries []entry
	byName  map[string]*value // of a record
}

// entry is a named element in another one. Two entries may have the same value, by idref.
type entry struct {
	name string // "" in a list
	line int
	*value
}

// document is a file in the format Values.
type document struct {
	file    string
	root    *value
	visited int // names in records and lists
}

const valuesHint = "copy the file again from the config folder of an instance"

func (d *document) error(line int, format string, args ...any) error {
	return &configerror.Error{File: d.file, Line: line, What: fmt.Sprintf(format, args...), Hint: valuesHint}
}

// reader reads a file in the format Values.
type reader struct {
	*document
	decoder *xml.Decoder
	count   int
	ids     map[string]*value // nil: two elements have the id
}

// readValues reads a file in the format Values: XML without DOCTYPE and entities. An element
// object stands for the element with the id of its idref, which must have ended before.
func readValues(file string, data []byte) (*document, error) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	r := &reader{document: &document{file: file}, decoder: xml.NewDecoder(bytes.NewReader(data)), ids: map[string]*value{}}
	for {
		token, err := r.decoder.Token()
		switch t := token.(type) {
		case nil:
			if !errors.Is(err, io.EOF) {
				return nil, r.syntaxError(err)
			}
			if r.root == nil {
				return nil, r.error(0, "the file has no element Values")
			}
			return r.document, nil
		case xml.StartElement:
			if r.root != nil || t.Name.Local != "Values" && t.Name.Local != "IDataXMLCoder" {
				return nil, r.error(r.line(), "%s is not the only element Values", escape.Quote(t.Name.Local, escape.Short))
			}
			root := &value{kind: "record"}
			if err := r.readEntries(root, 1); err != nil {
				return nil, err
			}
			if t.Name.Local == "IDataXMLCoder" && len(root.entries) == 1 && root.entries[0].name == "" {
				root = root.entries[0].value
			}
			r.root = root
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, r.error(r.line(), "there is text outside the element Values")
			}
		default:
			if err := r.checkOther(token); err != nil {
				return nil, err
			}
		}
	}
}

func (r *reader) line() int {
	line, _ := r.decoder.InputPos()
	return line
}

func (r *reader) syntaxError(err error) error {
	line, text := r.line(), err.Error()
	if inner, ok := errors.AsType[*xml.SyntaxError](err); ok {
		line, text = inner.Line, inner.Msg
	}
	return r.error(line, "this is not XML as Integration Server writes it: %s", escape.Printable(text, 0))
}

// checkOther rejects what is neither an element nor text, except comments and <?xml …?>.
func (r *reader) checkOther(token xml.Token) error {
	switch t := token.(type) {
	case xml.Directive:
		return r.error(r.line(), "a DOCTYPE is not read: it could name other files")
	case xml.ProcInst:
		if t.Target != "xml" || r.count > 0 {
			return r.error(r.line(), "the instruction <?%s is not read", escape.Printable(t.Target, escape.Short))
		}
	}
	return nil
}

// readEntries reads the elements in a record, list or array until its end.
func (r *reader) readEntries(into *value, depth int) error {
	if into.kind == "record" {
		into.byName = map[string]*value{}
	}
	for {
		token, err := r.decoder.Token()
		switch t := token.(type) {
		case nil:
			return r.syntaxError(err)
		case xml.EndElement:
			return nil
		case xml.CharData:
			if len(bytes.TrimSpace(t)) > 0 {
				return r.error(r.line(), "there is text outside an element value")
			}
		case xml.StartElement:
			e, err := r.readElement(t, depth)
			if err != nil {
				return err
			}
			if _, twice := into.byName[e.name]; twice {
				return r.error(e.line, "two elements of a record have the name %s", escape.Quote(e.name, escape.Short))
			}
			if into.kind == "record" {
				into.byName[e.name] = e.value
			}
			into.entries = append(into.entries, e)
		default:
			if err := r.checkOther(token); err != nil {
				return err
			}
		}
	}
}
