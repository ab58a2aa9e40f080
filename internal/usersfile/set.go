package usersfile

import (
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
)

const disabledKey = "disabled"

// SetDisabled is Set for the key disabled.
func SetDisabled(name string, data []byte, disabled bool, ids ...string) ([]byte, error) {
	return Set(name, data, []Field{Disabled(disabled)}, ids...)
}

// Disabled returns the field of the key disabled.
func Disabled(disabled bool) Field {
	text := "false"
	if disabled {
		text = "true"
	}
	return Field{Key: disabledKey, Text: text, Bool: true}
}

// Set returns the file with keys of some mappings set. An empty Text removes the key. Load the
// result and compare it: a form that cannot be edited in place may change something else.
func Set(name string, data []byte, fields []Field, ids ...string) ([]byte, error) {
	for _, f := range fields { // one after another: an edit moves what stands after it
		var err error
		if IsJSONLines(name) {
			data, err = setInLines(name, data, f, ids)
		} else {
			data, err = setInYAML(name, data, f, ids)
		}
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

func setInYAML(name string, data []byte, f Field, ids []string) ([]byte, error) {
	d, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, item := range slices.Backward(d.items) { // from the end: an edit moves the lines after it
		id := mappingID(item)
		if !slices.Contains(ids, id) {
			continue
		}
		found[id] = true
		if !d.set(item, f) {
			return nil, notInPlace(name, item.Line, f)
		}
	}
	if err := checkFound(name, ids, found); err != nil {
		return nil, err
	}
	return []byte(strings.Join(d.lines, "")), nil
}

func notInPlace(name string, line int, f Field) error {
	hint := "nothing was written: edit the file by hand: " + f.Key + ": " + f.Text
	if f.Text == "" {
		hint = "nothing was written: edit the file by hand: remove " + f.Key
	}
	return &configerror.Error{File: name, Line: line, What: "the mapping has a form that cannot be edited in place", Hint: hint}
}

// set edits one mapping, and reports whether its form allows that.
func (d *document) set(item *yaml.Node, f Field) bool {
	if item.Kind != yaml.MappingNode || len(item.Content) < 4 {
		return false
	}
	text := f.Text
	if !f.Bool {
		text = Quote(f.Text)
	}
	for i := 0; i+1 < len(item.Content); i += 2 {
		switch key, value := item.Content[i], item.Content[i+1]; {
		case key.Value != f.Key:
		case f.Text == "":
			return d.removeKey(item, i)
		case f.Bool && (value.Style != 0 || value.Value != "true" && value.Value != "false"):
			return false
		default:
			source, ok := sourceOf(value)
			return ok && d.replace(value.Line, value.Column, source, text)
		}
	}
	if f.Text == "" {
		return true // it is not there
	}
	text = f.Key + ": " + text
	if item.Style&yaml.FlowStyle != 0 {
		first := item.Content[0]
		return d.replace(first.Line, first.Column, "", text+", ")
	}
	second := item.Content[2] // the first key may stand after the dash
	line := d.lines[second.Line-1]
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	if utf8.RuneCountInString(indent) != second.Column-1 {
		return false
	}
	d.lines = slices.Insert(d.lines, second.Line-1, indent+text+"\n")
	return true
}

// sourceOf returns a scalar as the file writes it, if it stands on one line and has no escapes.
func sourceOf(value *yaml.Node) (string, bool) {
	if value.Kind != yaml.ScalarNode || strings.ContainsAny(value.Value, "\n\"'\\") {
		return "", false
	}
	switch value.Style {
	case 0:
		return value.Value, true
	case yaml.DoubleQuotedStyle:
		return `"` + value.Value + `"`, true
	case yaml.SingleQuotedStyle:
		return "'" + value.Value + "'", true
	}
	return "", false
}

// removeKey removes the key at an index of a mapping's content: in the block style with its line.
func (d *document) removeKey(item *yaml.Node, i int) bool {
	key, value := item.Content[i], item.Content[i+1]
	source, ok := sourceOf(value)
	if !ok || value.Line != key.Line {
		return false
	}
	start, ok := d.offset(key.Line, key.Column)
	end, ok2 := d.offset(value.Line, value.Column)
	line := d.lines[key.Line-1]
	if !ok || !ok2 || !strings.HasPrefix(line[end:], source) {
		return false
	}
	end += len(source)
	switch {
	case item.Style&yaml.FlowStyle == 0:
		if strings.TrimSpace(line[:start]) != "" {
			return false // after the dash
		}
		d.lines = slices.Delete(d.lines, key.Line-1, key.Line)
		return true
	case i+2 < len(item.Content):
		next := item.Content[i+2]
		end, ok = d.offset(next.Line, next.Column)
		if !ok || next.Line != key.Line {
			return false
		}
	default:
		start = strings.LastIndexByte(line[:start], ',')
	}
	if start < 0 {
		return false
	}
	d.lines[key.Line-1] = line[:start] + line[end:]
	return true
}

// offset returns the place of a position of the parser in its line. Columns are characters.
func (d *document) offset(line, column int) (at int, ok bool) {
	if line < 1 || line > len(d.lines) {
		return 0, false
	}
	for range column - 1 {
		_, n := utf8.DecodeRuneInString(d.lines[line-1][at:])
		at += n
	}
	return at, true
}

// replace replaces a text at a position of the parser.
func (d *document) replace(line, column int, old, text string) bool {
	at, ok := d.offset(line, column)
	if !ok || !strings.HasPrefix(d.lines[line-1][at:], old) {
		return false
	}
	s := d.lines[line-1]
	d.lines[line-1] = s[:at] + text + s[at+len(old):]
	return true
}
