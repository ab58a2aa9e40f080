package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// configEdit is one changed or added line of a YAML file.
type configEdit struct {
	line int    // of the file
	text string // without indentation
	add  bool   // text is a new line before line; otherwise it replaces it
}

// yamlLines are the lines of a YAML file, for edits of its nodes.
type yamlLines []string

// set returns the edit that sets a key of a mapping and keeps its other keys.
func (y yamlLines) set(m *yaml.Node, key, value string) (configEdit, bool) {
	if m.Kind != yaml.MappingNode || len(m.Content) < 2 {
		return configEdit{}, false
	}
	if at := valueOf(m, key); at != nil {
		from, to, ok := y.extent(at)
		if !ok {
			return configEdit{}, false
		}
		return y.replace(at.Line, from, to, value), true
	}
	text := key + ": " + value
	if m.Style&yaml.FlowStyle != 0 {
		return y.insertBeforeEnd(m, text, ", ")
	}
	first := m.Content[0]
	from, ok := y.index(first.Line, first.Column)
	if !ok {
		return configEdit{}, false
	}
	if len(m.Content) > 2 { // before the second key, because the first may stand after a dash
		return configEdit{line: m.Content[2].Line, text: text, add: true}, true
	}
	if prefix := y[first.Line-1][:from]; strings.TrimSpace(prefix) == "" {
		return configEdit{line: first.Line, text: text, add: true}, true
	}
	return configEdit{}, false
}

// extend returns the edit that adds an element to the list of a key.
func (y yamlLines) extend(m *yaml.Node, key, value string) (configEdit, bool) {
	list := valueOf(m, key)
	switch {
	case list == nil:
		return y.set(m, key, "["+value+"]")
	case list.Kind != yaml.SequenceNode:
		return configEdit{}, false
	case list.Style&yaml.FlowStyle != 0:
		between := ", "
		if len(list.Content) == 0 {
			between = ""
		}
		return y.insertBeforeEnd(list, value, between)
	case len(list.Content) == 0:
		return configEdit{}, false
	}
	return configEdit{line: list.Content[0].Line, text: "- " + value, add: true}, true
}

// extendBoth returns the edits that add an element to the lists of two keys, to be made in
// their order: the last line first. Lists on one line are one edit.
func (y yamlLines) extendBoth(m *yaml.Node, first, second [2]string) []configEdit {
	a, b := valueOf(m, first[0]), valueOf(m, second[0])
	if a == nil || b == nil {
		return nil
	}
	if a.Line < b.Line || a.Line == b.Line && a.Column < b.Column {
		first, second = second, first
	}
	last, ok := y.extend(m, first[0], first[1]) // its place does not move the other's
	if !ok {
		return nil
	}
	if !last.add {
		old := y[last.line-1]
		y = slices.Clone(y)
		y[last.line-1] = old[:len(old)-len(strings.TrimLeft(old, " "))] + last.text
	}
	before, ok := y.extend(m, second[0], second[1])
	switch {
	case !ok:
		return nil
	case before.line == last.line && !before.add && !last.add:
		return []configEdit{before}
	}
	return []configEdit{last, before}
}

// insertBeforeEnd inserts text before the bracket that closes a node in flow style.
func (y yamlLines) insertBeforeEnd(n *yaml.Node, text, between string) (configEdit, bool) {
	from, to, ok := y.extent(n)
	if !ok {
		return configEdit{}, false
	}
	line := y[n.Line-1]
	end := from + len(strings.TrimRight(line[from:to-1], " "))
	return y.replace(n.Line, end, to-1, between+text), true
}

// replace returns a line with a part replaced.
func (y yamlLines) replace(line, from, to int, text string) configEdit {
	s := y[line-1]
	return configEdit{line: line, text: strings.TrimSpace(s[:from] + text + s[to:])}
}

// index returns the index of a column, which counts characters, in a line.
func (y yamlLines) index(line, column int) (int, bool) {
	if line < 1 || line > len(y) {
		return 0, false
	}
	at := 0
	for range column - 1 {
		if at >= len(y[line-1]) {
			return 0, false
		}
		_, n := utf8.DecodeRuneInString(y[line-1][at:])
		at += n
	}
	return at, true
}

// extent returns the part of its line that a node takes. A node on several lines has none.
func (y yamlLines) extent(n *yaml.Node) (from, to int, ok bool) {
	if from, ok = y.index(n.Line, n.Column); !ok {
		return 0, 0, false
	}
	s := y[n.Line-1]
	switch {
	case n.Kind == yaml.ScalarNode && n.Style == 0:
		to = from + len(n.Value)
		return from, to, to <= len(s) && s[from:to] == n.Value
	case n.Kind == yaml.ScalarNode && n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		quote := s[from]
		for i := from + 1; i < len(s); i++ {
			switch escaped := quote == '"' && s[i] == '\\' || quote == '\'' && strings.HasPrefix(s[i:], "''"); {
			case escaped:
				i++
			case s[i] == quote:
				return from, i + 1, true
			}
		}
		return 0, 0, false
	case n.Kind == yaml.ScalarNode || n.Style&yaml.FlowStyle == 0:
		return 0, 0, false
	}
	depth, quote := 0, byte(0)
	for i := from; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == '\\' && quote == '"' {
				i++
			} else if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return from, i + 1, true
			}
		}
	}
	return 0, 0, false
}

// valueOf returns the value of a key, or nil.
func valueOf(m *yaml.Node, key string) *yaml.Node {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

var plainYAML = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@/-]*$`)

// yamlText returns a text as a scalar of YAML.
func yamlText(text string) string {
	if plainYAML.MatchString(text) && !slices.Contains([]string{"null", "true", "false", "yes", "no", "on", "off"}, strings.ToLower(text)) {
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return text
		}
	}
	return strconv.Quote(text)
}
