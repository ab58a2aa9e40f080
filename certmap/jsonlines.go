package certmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/internal/workers"
)

// readLines reads JSON lines: one object of RFC 8259 a line. An empty line is skipped. It
// returns the numbers of lines and of mappings.
func (l *reader) readLines(data []byte) (line, number int) {
	for len(data) > 0 && !l.report.full() {
		var text []byte
		text, data, _ = bytes.Cut(data, []byte("\n"))
		if line++; line%256 == 0 {
			workers.Yield()
		}
		if text = bytes.Trim(text, jsonBlanks); len(text) == 0 {
			continue
		}
		number++
		if l.readPlainLine(text, line) {
			continue
		}
		node, err := readLine(text, line)
		if err != nil {
			l.doc.Say(&yaml.Node{Line: line}, "this line is not a mapping: "+err.Error(), `one JSON object: {"id": …, "user": …, …}`)
			continue
		}
		l.readMapping(number, node)
	}
	return line, number
}

// jsonBlanks is the whitespace of RFC 8259 section 2 within a line.
const jsonBlanks = " \t\r"

// rejectNoLines reports a file without any mapping, which is an error as an empty users.yaml is.
func (l *reader) rejectNoLines() {
	l.doc.Say(&yaml.Node{Line: 1}, "the file is empty", "one JSON object a line, or a file that ends in .yaml with mappings: []")
}

var (
	errNotObject = errors.New("it is not a JSON object of texts")
	errTrailing  = errors.New("the object is followed by something else")
	errNotJSON   = errors.New("it is not JSON")
)

// readLine returns the node that the YAML reader would return for the same mapping, so that
// the same code checks both formats.
func readLine(text []byte, line int) (*yaml.Node, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	open, err := d.Token()
	switch {
	case err != nil:
		return nil, errNotJSON
	case open != json.Delim('{'):
		return nil, errNotObject
	}
	node := &yaml.Node{Kind: yaml.MappingNode, Line: line}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, errNotJSON
		}
		value, err := readValue(d, line, true)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, scalarNode("!!str", key.(string), line), value)
	}
	if _, err := d.Token(); err != nil {
		return nil, errNotJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	return node, nil
}

// readValue reads a text, a number as written, true, false, null or, where listAllowed, a
// list of these.
func readValue(d *json.Decoder, line int, listAllowed bool) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, errNotJSON
	}
	switch v := token.(type) {
	case string:
		return scalarNode("!!str", v, line), nil
	case json.Number:
		return scalarNode("!!int", v.String(), line), nil
	case bool:
		if v {
			return scalarNode("!!bool", "true", line), nil
		}
		return scalarNode("!!bool", "false", line), nil
	case nil:
		return scalarNode("!!null", "", line), nil
	case json.Delim:
		if v != '[' || !listAllowed {
			return nil, errNotObject
		}
		node := &yaml.Node{Kind: yaml.SequenceNode, Line: line}
		for d.More() {
			item, err := readValue(d, line, false)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, item)
		}
		if _, err := d.Token(); err != nil {
			return nil, errNotJSON
		}
		return node, nil
	}
	return nil, errNotObject
}

func scalarNode(tag, text string, line int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: text, Line: line}
}
