package iisconf

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

const (
	maxDepth    = 64
	maxElements = 1_000_000
)

// element is an element of the configuration. Names are in lower case: IIS does not distinguish them
// either way, and writes them in one.
type element struct {
	name       string
	line       int
	parent     string            // the name of the element around it
	location   string            // the path of the location around it
	attributes map[string]string // by name in lower case
	children   []*element
}

// each calls f for an element and all in it.
func (e *element) each(f func(*element)) {
	f(e)
	for _, c := range e.children {
		c.each(f)
	}
}

// inherit takes the attributes over that an element has not, of those around it.
func (e *element) inherit(around []*element) {
	for _, outer := range slices.Backward(around) {
		for key, value := range outer.attributes {
			if _, own := e.attributes[key]; !own && key != "configsource" && key != "childsource" {
				e.attributes[key] = value
			}
		}
	}
}

// unknown returns an attribute that is not among the known ones, or "".
func (e *element) unknown(known ...string) string {
	for _, key := range slices.Sorted(maps.Keys(e.attributes)) {
		if !slices.Contains(known, key) {
			return key
		}
	}
	return ""
}

// bool returns an attribute that is true or false.
func (e *element) bool(file, name string, otherwise bool) (bool, error) {
	switch value, ok := e.attributes[name]; {
	case !ok:
		return otherwise, nil
	case strings.EqualFold(value, "true"):
		return true, nil
	case strings.EqualFold(value, "false"):
		return false, nil
	default:
		return false, &configerror.Error{File: file, Line: e.line, What: fmt.Sprintf("%s: %s is neither true nor false", name, escape.Quote(value, escape.Short)), Hint: "IIS does not start with it"}
	}
}

const xmlHint = "appcmd list config shows what is wrong with it"

// parse reads a configuration. A document type is an error: entities could read other files, or
// grow without bound.
func parse(file string, data []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))))
	root := &element{}
	open := []*element{root}
	elements := 0
	for {
		line, _ := d.InputPos()
		fail := func(what string) error {
			return &configerror.Error{File: file, Line: line, What: what, Hint: xmlHint}
		}
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return root, nil
		}
		if err != nil {
			what := "this is not XML"
			if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
				line, what = syntax.Line, "this is not XML: "+syntax.Msg
			} else if strings.Contains(err.Error(), "encoding") {
				what = "the file is not UTF-8: save it so"
			}
			return nil, fail(what)
		}
		switch token := token.(type) {
		case xml.Directive:
			return nil, fail("a document type is not read")
		case xml.StartElement:
			if elements++; elements > maxElements || len(open) > maxDepth {
				return nil, fail("too many elements, or too many in one another")
			}
			top := open[len(open)-1]
			e := &element{name: strings.ToLower(token.Name.Local), line: line, parent: top.name, location: top.location, attributes: map[string]string{}}
			for _, a := range token.Attr {
				name := strings.ToLower(a.Name.Local)
				if _, twice := e.attributes[name]; twice {
					return nil, fail(fmt.Sprintf("the attribute %s twice", escape.Quote(name, escape.Short)))
				}
				e.attributes[name] = a.Value
			}
			if e.name == "location" {
				e.location = e.attributes["path"]
				if e.location == "." {
					e.location = "" // of the file itself
				}
			}
			top.children, open = append(top.children, e), append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		}
	}
}
