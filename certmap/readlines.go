package certmap

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LinesSuffix is the ending of a file of JSON lines: one mapping a line, with the
// keys of users.yaml and without anything around them. It is for tables that a
// program writes, because it is read faster than YAML and line by line.
//
//	{"id": "alice-2026", "user": "alice", "fingerprint": "9f86…"}
const LinesSuffix = ".jsonl"

// isLines reports whether a file is read as JSON lines.
func isLines(name string) bool { return strings.HasSuffix(name, LinesSuffix) }

// readLines reads JSON lines (RFC 8259 each). An empty line is passed over; a file
// without any mapping is a mistake, as an empty users.yaml is.
func (r *reader) readLines(data []byte) {
	r.b.t = newTable(bytes.Count(data, []byte("\n")) + 1)
	number := 0
	for line := 1; len(data) > 0 && !r.b.report.full(); line++ {
		var text []byte
		text, data, _ = bytes.Cut(data, []byte("\n"))
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		number++
		node, err := lineNode(text, line)
		if err != nil {
			r.wrong(line, "this line is not a mapping: "+err.Error(), `one JSON object: {"id": …, "user": …, …}`)
			continue
		}
		r.entry(number, node)
	}
	if number == 0 {
		r.wrong(1, "the file is empty", "one JSON object a line, or a file that ends in .yaml with mappings: []")
	}
}

var (
	errObject = errors.New("it is no JSON object of texts")
	errMore   = errors.New("something follows the object")
	errJSON   = errors.New("it is not JSON")
)

// lineNode makes of a line what the YAML reader would have made of it, so that both
// formats are judged by the same code.
func lineNode(text []byte, line int) (*yaml.Node, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	open, err := d.Token()
	switch {
	case err != nil:
		return nil, errJSON
	case open != json.Delim('{'):
		return nil, errObject
	}
	node := &yaml.Node{Kind: yaml.MappingNode, Line: line}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, errJSON
		}
		value, err := valueNode(d, line, true)
		if err != nil {
			return nil, err
		}
		node.Content = append(node.Content, scalarNode(key.(string), line, yaml.DoubleQuotedStyle), value)
	}
	if _, err := d.Token(); err != nil {
		return nil, errJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errMore
	}
	return node, nil
}

// valueNode reads a text, a number as it is written, true, false, null, or where it
// may be one, a list of these.
func valueNode(d *json.Decoder, line int, list bool) (*yaml.Node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, errJSON
	}
	switch v := token.(type) {
	case string:
		return scalarNode(v, line, yaml.DoubleQuotedStyle), nil
	case json.Number:
		return scalarNode(v.String(), line, 0), nil
	case bool:
		if v {
			return scalarNode("true", line, 0), nil
		}
		return scalarNode("false", line, 0), nil
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: line}, nil
	case json.Delim:
		if v != '[' || !list {
			return nil, errObject
		}
		node := &yaml.Node{Kind: yaml.SequenceNode, Line: line}
		for d.More() {
			item, err := valueNode(d, line, false)
			if err != nil {
				return nil, err
			}
			node.Content = append(node.Content, item)
		}
		if _, err := d.Token(); err != nil {
			return nil, errJSON
		}
		return node, nil
	}
	return nil, errObject
}

func scalarNode(text string, line int, style yaml.Style) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Value: text, Line: line, Style: style}
}
