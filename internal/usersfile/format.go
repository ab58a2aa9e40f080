package usersfile

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Field is a key of a mapping with its value.
type Field struct {
	Key  string
	Text string
	List []string // the value of ports, in place of Text
	Bool bool     // Text is true or false, and not quoted
}

// Format returns a mapping as one line of the file.
func Format(name string, fields []Field) string {
	if IsJSONLines(name) {
		return formatJSON(fields)
	}
	return "- " + formatYAML(fields)
}

// formatYAML returns a mapping in the flow style of YAML.
func formatYAML(fields []Field) string {
	var parts []string
	for _, f := range fields {
		value := Quote(f.Text)
		if f.List != nil {
			var all []string
			for _, t := range f.List {
				all = append(all, Quote(t))
			}
			value = "[" + strings.Join(all, ", ") + "]"
		}
		parts = append(parts, f.Key+": "+value)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

var plainScalar = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@/-]*$`)

// Quote quotes a text for YAML unless it is a plain word. YAML's double quotes support every
// escape that strconv.Quote writes.
func Quote(text string) string {
	if plainScalar.MatchString(text) && !slices.Contains([]string{"null", "Null", "NULL"}, text) {
		return text
	}
	return strconv.Quote(text)
}

func formatJSON(fields []Field) string {
	var parts []string
	for _, f := range fields {
		text := f.Text
		switch {
		case f.List != nil:
			text = quoteJSON(f.List)
		case !f.Bool:
			text = quoteJSON(f.Text)
		}
		parts = append(parts, strconv.Quote(f.Key)+": "+text)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func quoteJSON(text any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // texts never fail
	return strings.TrimSpace(b.String())
}
