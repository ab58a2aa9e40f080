package webmethods

import (
	"encoding/xml"
	"strings"

	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// readElement reads an element to its end, or the one that an object stands for.
func (r *reader) readElement(t xml.StartElement, depth int) (entry, error) {
	e := entry{line: r.line()}
	if r.count++; r.count > maxValues {
		return e, r.error(e.line, "the file has more than %d elements", maxValues)
	}
	if depth >= maxDepth {
		return e, r.error(e.line, "elements nest more than %d deep", maxDepth)
	}
	attributes, other, err := r.attributes(t)
	if err != nil {
		return e, err
	}
	e.name = attributes["name"]
	id, hasID := attributes["id"]
	e.value = &value{kind: t.Name.Local}
	switch {
	case t.Name.Local == "object":
		if e.value = r.ids[attributes["idref"]]; e.value == nil {
			return e, r.error(e.line, "idref %s is not the id of one element before", escape.Quote(attributes["idref"], escape.Short))
		}
		hasID = false
		err = r.readEmpty(t, depth)
	case t.Name.Local == "record" || t.Name.Local == "list" || t.Name.Local == "array":
		err = r.readEntries(e.value, depth+1)
	case !other && (t.Name.Local == "value" || t.Name.Local == "number"):
		e.text, err = r.readText()
	case t.Name.Local == "null":
		err = r.readEmpty(t, depth)
	default:
		e.kind = "other" // has no meaning here: an error only where one is expected
		if err = r.decoder.Skip(); err != nil {
			err = r.syntaxError(err)
		}
	}
	if hasID {
		if _, twice := r.ids[id]; twice {
			r.ids[id] = nil
		} else {
			r.ids[id] = e.value
		}
	}
	return e, err
}

// readEmpty reads the end of an element that holds nothing.
func (r *reader) readEmpty(t xml.StartElement, depth int) error {
	content := &value{kind: "null"}
	err := r.readEntries(content, depth+1)
	if err == nil && len(content.entries) > 0 {
		return r.error(r.line(), "the element %s is not empty", escape.Quote(t.Name.Local, escape.Short))
	}
	return err
}

// readText reads the text of an element, which has no others in it.
func (r *reader) readText() (string, error) {
	var b strings.Builder
	for {
		token, err := r.decoder.Token()
		switch t := token.(type) {
		case nil:
			return "", r.syntaxError(err)
		case xml.EndElement:
			return strings.TrimSpace(b.String()), nil
		case xml.CharData:
			b.Write(t)
		case xml.StartElement:
			return "", r.error(r.line(), "the element %s is in a value", escape.Quote(t.Name.Local, escape.Short))
		default:
			if err := r.checkOther(token); err != nil {
				return "", err
			}
		}
	}
}

// attributes returns the name, id and idref of an element. other is true if it has more than
// these and the type: then a text may be encoded in some way.
func (r *reader) attributes(t xml.StartElement) (found map[string]string, other bool, err error) {
	found = map[string]string{}
	for _, a := range t.Attr {
		key := a.Name.Local
		if _, twice := found[key]; twice || a.Name.Space != "" {
			return nil, false, r.error(r.line(), "the attribute %s of %s is not read", escape.Quote(key, escape.Short), escape.Quote(t.Name.Local, escape.Short))
		}
		found[key] = a.Value
		switch key {
		case "name", "id", "idref", "type", "javaclass", "depth", "version":
		default:
			other = true
		}
	}
	return found, other, nil
}
