package usersfile

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
)

const disabledKey = "disabled"

// SetDisabled returns the file with the key disabled of some mappings set. Load the result
// and compare it: a form that cannot be edited in place may change something else.
func SetDisabled(name string, data []byte, disabled bool, ids ...string) ([]byte, error) {
	if IsJSONLines(name) {
		return setDisabledLines(name, data, disabled, ids)
	}
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
		if !d.setDisabled(item, disabled) {
			return nil, &configerror.Error{File: name, Line: item.Line, What: "the mapping has a form that cannot be edited in place", Hint: "nothing was written: edit the file by hand: disabled: " + boolText(disabled)}
		}
	}
	if err := checkFound(name, ids, found); err != nil {
		return nil, err
	}
	return []byte(strings.Join(d.lines, "")), nil
}

func boolText(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// setDisabled edits one mapping, and reports whether its form allows that.
func (d *document) setDisabled(item *yaml.Node, disabled bool) bool {
	if item.Kind != yaml.MappingNode || len(item.Content) < 4 {
		return false
	}
	for i := 0; i+1 < len(item.Content); i += 2 {
		if key, value := item.Content[i], item.Content[i+1]; key.Value == disabledKey {
			plain := value.Kind == yaml.ScalarNode && value.Style == 0 && (value.Value == "true" || value.Value == "false")
			return plain && d.replace(value.Line, value.Column, value.Value, boolText(disabled))
		}
	}
	text := disabledKey + ": " + boolText(disabled)
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

// replace replaces a text at a position of the parser, whose columns are characters.
func (d *document) replace(line, column int, old, text string) bool {
	if line < 1 || line > len(d.lines) {
		return false
	}
	s, at := d.lines[line-1], 0
	for range column - 1 {
		_, n := utf8.DecodeRuneInString(s[at:])
		at += n
	}
	if !strings.HasPrefix(s[at:], old) {
		return false
	}
	d.lines[line-1] = s[:at] + text + s[at+len(old):]
	return true
}

var jsonDisabled = regexp.MustCompile(`"disabled"\s*:\s*(true|false)`)

func setDisabledLines(name string, data []byte, disabled bool, ids []string) ([]byte, error) {
	var out strings.Builder
	found := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		var m struct{ ID string }
		if json.Unmarshal([]byte(line), &m) != nil || !slices.Contains(ids, m.ID) {
			out.WriteString(line)
			continue
		}
		found[m.ID] = true
		text := `"disabled": ` + boolText(disabled)
		if all := jsonDisabled.FindAllStringIndex(line, -1); len(all) > 0 {
			last := all[len(all)-1]
			out.WriteString(line[:last[0]] + text + line[last[1]:])
			continue
		}
		end := strings.LastIndexByte(line, '}')
		out.WriteString(strings.TrimRight(line[:end], " ") + ", " + text + line[end:])
	}
	return []byte(out.String()), checkFound(name, ids, found)
}
