// Package usersfile adds mappings to users.yaml or a file of JSON lines, and removes them.
// Every other byte, comments included, stays as it is.
//
// The package knows where mappings stand, not their meaning. Load a result with package
// certmap before you write it.
package usersfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/strictyaml"
)

// ErrNotFound is the text of the error for an id that no mapping has.
var ErrNotFound = errors.New("there is no mapping with this id")

// IsJSONLines reports whether a file holds JSON lines, by its name.
func IsJSONLines(name string) bool { return strings.HasSuffix(name, ".jsonl") }

// Add returns the file with another mapping after the last.
func Add(name string, data []byte, fields []Field) ([]byte, error) {
	if IsJSONLines(name) {
		return append(withNewline(data), formatJSON(fields)+"\n"...), nil
	}
	d, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	return d.add(formatYAML(fields))
}

// Remove returns the file without the mappings that have the given ids. Comments stay.
func Remove(name string, data []byte, ids ...string) ([]byte, error) {
	if IsJSONLines(name) {
		return removeLines(name, data, ids)
	}
	d, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	return d.remove(ids)
}

// withNewline returns the data with a newline at its end.
func withNewline(data []byte) []byte {
	out := bytes.Clone(data)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		out = append(out, '\n')
	}
	return out
}

func removeLines(name string, data []byte, ids []string) ([]byte, error) {
	var out []byte
	found := map[string]bool{}
	for line := range bytes.Lines(data) {
		var m struct{ ID string }
		if json.Unmarshal(line, &m) == nil && slices.Contains(ids, m.ID) {
			found[m.ID] = true
			continue
		}
		out = append(out, line...)
	}
	return out, checkFound(name, ids, found)
}

// checkFound returns an error for each id that was not found.
func checkFound(name string, ids []string, found map[string]bool) error {
	return NotFound(name, slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return found[id] }))
}

// NotFound returns an error for each of the ids.
func NotFound(name string, ids []string) error {
	var errs errorlist.List
	for _, id := range ids {
		errs.Add(configerror.Error{File: name, What: fmt.Sprintf("%s: %q", ErrNotFound, id), Hint: "mtlsguard users list shows the ids"})
	}
	return errs.Err()
}

// document is users.yaml as lines, with the positions of its mappings.
type document struct {
	name  string
	lines []string     // with their newlines
	key   int          // index of the line of "mappings"
	list  *yaml.Node   // nil if the key has no value
	items []*yaml.Node // elements of the list
}

// parse is read for a file that can be edited: its list has one mapping a line.
func parse(name string, data []byte) (*document, error) {
	d, err := read(name, data)
	if err == nil && d.list != nil && d.list.Style&yaml.FlowStyle != 0 && len(d.items) > 0 {
		err = notOneALine(name, d.list)
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

func notOneALine(name string, list *yaml.Node) error {
	return &configerror.Error{File: name, Line: list.Line, What: "mappings: the value is not a list with one mapping a line", Hint: "write each mapping after a dash: - {id: …, user: …}"}
}

// read finds the mappings of a file.
func read(name string, data []byte) (*document, error) {
	top, err := strictyaml.Read(name, data)
	if err != nil {
		return nil, err
	}
	d := &document{name: name, key: -1}
	for line := range bytes.Lines(data) {
		d.lines = append(d.lines, string(line))
	}
	for i := 0; top.Kind == yaml.MappingNode && i+1 < len(top.Content); i += 2 {
		if top.Content[i].Value == "mappings" {
			if d.key >= 0 {
				return nil, &configerror.Error{File: name, Line: top.Content[i].Line, What: "the key mappings is there twice", Hint: "write one list"}
			}
			d.key, d.list = top.Content[i].Line-1, top.Content[i+1]
		}
	}
	switch {
	case d.key < 0:
		return nil, &configerror.Error{File: name, Line: top.Line, What: "the key mappings is missing", Hint: "mappings: with a list below"}
	case d.list.Kind == yaml.ScalarNode && d.list.Value == "":
		d.list = nil
	case d.list.Kind != yaml.SequenceNode:
		return nil, notOneALine(name, d.list)
	default:
		d.items = d.list.Content
	}
	return d, nil
}

// firstLine returns the index of the line with an item's dash.
func (d *document) firstLine(item *yaml.Node) int {
	at := min(item.Line-1, len(d.lines)-1)
	for at > d.key+1 && !strings.HasPrefix(strings.TrimSpace(d.lines[at]), "-") {
		at--
	}
	return at
}

// endLine returns the index of the line after an item, before the comments of the next.
func (d *document) endLine(i int) int {
	stop := len(d.lines)
	if i+1 < len(d.items) {
		stop = d.firstLine(d.items[i+1])
	}
	for stop > d.firstLine(d.items[i])+1 {
		if text := strings.TrimSpace(d.lines[stop-1]); text != "" && !strings.HasPrefix(text, "#") {
			break
		}
		stop--
	}
	return stop
}

func (d *document) add(mapping string) ([]byte, error) {
	lines, at, indent := slices.Clone(d.lines), d.key+1, "  "
	if n := len(d.items); n > 0 {
		first := d.lines[d.firstLine(d.items[0])]
		indent, at = first[:len(first)-len(strings.TrimLeft(first, " "))], d.endLine(n-1)
	} else if d.list != nil {
		before, after, ok := strings.Cut(lines[d.key], "[]")
		if !ok {
			return nil, &configerror.Error{File: d.name, Line: d.list.Line, What: "mappings: the empty list is not written as []", Hint: "mappings: []"}
		}
		lines[d.key] = strings.TrimRight(before, " ") + after
	}
	if !strings.HasSuffix(lines[at-1], "\n") {
		lines[at-1] += "\n"
	}
	return []byte(strings.Join(slices.Insert(lines, at, indent+"- "+mapping+"\n"), "")), nil
}

func (d *document) remove(ids []string) ([]byte, error) {
	found, removed := map[string]bool{}, map[int]bool{}
	left := len(d.items)
	for i, item := range d.items {
		id := mappingID(item)
		if !slices.Contains(ids, id) {
			continue
		}
		found[id] = true
		left--
		for line := d.firstLine(item); line < d.endLine(i); line++ {
			removed[line] = true
		}
	}
	if err := checkFound(d.name, ids, found); err != nil {
		return nil, err
	}
	var b strings.Builder
	for i, line := range d.lines {
		if i == d.key && left == 0 { // a key without a value does not load
			line = strings.Replace(line, "mappings:", "mappings: []", 1)
		}
		if !removed[i] {
			b.WriteString(line)
		}
	}
	return []byte(b.String()), nil
}

func mappingID(item *yaml.Node) string {
	if item.Kind == yaml.AliasNode {
		item = item.Alias
	}
	for i := 0; i+1 < len(item.Content); i += 2 {
		if item.Content[i].Value == "id" {
			return item.Content[i+1].Value
		}
	}
	return ""
}
