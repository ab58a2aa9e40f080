// Package strictyaml reads a YAML document node by node. It rejects unknown and duplicate
// keys, wrong types and a second document, each with its line.
//
// Scalars are taken literally, as they are written: an unquoted 1000 in the place
// of a hexadecimal serial stays "1000".
package strictyaml

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/duration"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/escape"
)

// Doc reads one document. It collects configuration errors in Wrong.
type Doc struct {
	File  string
	Wrong *errorlist.List
}

// Parse returns the root node of the only document, or nil after noting why not.
func (d *Doc) Parse(data []byte) *yaml.Node {
	root, err := Read(d.File, data)
	d.Wrong.Merge(err, configerror.Error{File: d.File})
	return root
}

// Say adds a configuration error at a node.
func (d *Doc) Say(n *yaml.Node, what, hint string) {
	m := configerror.Error{File: d.File, What: what, Hint: hint}
	if n != nil {
		m.Line, m.Column = n.Line, n.Column
	}
	d.Wrong.Add(m)
}

// Map reads a mapping whose keys are all known, and returns the values by key.
// Errors call the mapping by name.
func (d *Doc) Map(n *yaml.Node, name string, known ...string) map[string]*yaml.Node {
	n = follow(n)
	out, lines := map[string]*yaml.Node{}, map[string]int{}
	if n == nil || n.Kind != yaml.MappingNode {
		d.Say(n, name+" is not a mapping", "write key: value lines, indented alike")
		return out
	}
	d.rejectTag(n, name)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], follow(n.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode: // an alias among them, whose Value is its name and not what it stands for
			d.Say(key, name+" has a key that is not a text", "the keys are "+strings.Join(known, ", "))
		case d.rejectTag(key, name+": "+escape.Quote(key.Value, escape.Short)):
		case !slices.Contains(known, key.Value):
			d.Say(key, fmt.Sprintf("unknown key %s in %s", escape.Quote(key.Value, escape.Short), name), suggest(key.Value, known))
		case out[key.Value] != nil:
			d.Say(key, fmt.Sprintf("%s has the key %s twice", name, escape.Quote(key.Value, escape.Short)), fmt.Sprintf("the first is in line %d", lines[key.Value]))
		default:
			out[key.Value], lines[key.Value] = value, key.Line
		}
	}
	return out
}

// List reads a sequence.
func (d *Doc) List(n *yaml.Node, name string) []*yaml.Node {
	n = follow(n)
	if n == nil || n.Kind != yaml.SequenceNode {
		d.Say(n, name+" is not a list", "write [a, b], or lines that begin with a dash")
		return nil
	}
	d.rejectTag(n, name)
	out := make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		out[i] = follow(c)
	}
	return out
}

// Text reads a scalar as it is written. A missing node is "".
func (d *Doc) Text(n *yaml.Node, name string) string {
	s, _ := d.text(n, name)
	return s
}

// text is Text. It returns false if it has added an error.
func (d *Doc) text(n *yaml.Node, name string) (string, bool) {
	if n == nil {
		return "", true
	}
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		d.Say(n, name+" is not a text", "")
		return "", false
	}
	return n.Value, !d.rejectTag(n, name)
}

// rejectTag reports a tag, such as !!binary, and returns true for one. Values are taken as
// written here, while another reader would decode a tagged value to something else.
func (d *Doc) rejectTag(n *yaml.Node, name string) bool {
	tagged := n.Style&yaml.TaggedStyle != 0
	if tagged {
		d.Say(n, name+" has the tag "+escape.Quote(n.Tag, escape.Short), "remove the tag: a value is taken as written")
	}
	return tagged
}

// Bool reads true or false, and nothing that YAML may also take for them.
func (d *Doc) Bool(n *yaml.Node, name string, otherwise bool) bool {
	if n == nil {
		return otherwise
	}
	switch s, ok := d.text(n, name); {
	case !ok:
		return otherwise
	case s == "true" && n.Tag == "!!bool":
		return true
	case s == "false" && n.Tag == "!!bool":
		return false
	default:
		d.Say(n, fmt.Sprintf("%s: %s is neither true nor false", name, escape.Quote(s, escape.Short)), "use true or false")
		return otherwise
	}
}

// Int reads a whole number of at least least.
func (d *Doc) Int(n *yaml.Node, name string, least, otherwise int) int {
	if n == nil {
		return otherwise
	}
	s, ok := d.text(n, name)
	if !ok {
		return otherwise
	}
	v, err := strconv.Atoi(s)
	if err != nil || v < least {
		d.Say(n, fmt.Sprintf("%s: %s is not a whole number of %d or more", name, escape.Quote(s, escape.Short), least), "use digits only")
		return otherwise
	}
	return v
}

// Duration reads a duration with its unit, such as 5s, 250ms or 30d; 0 needs none.
func (d *Doc) Duration(n *yaml.Node, name string, least, otherwise time.Duration) time.Duration {
	if n == nil {
		return otherwise
	}
	s, ok := d.text(n, name)
	if !ok {
		return otherwise
	}
	v, err := duration.Parse(s)
	if err != nil || v < least {
		what, hint := "is not a duration", duration.Hint
		if err == nil {
			what, hint = "is too short", fmt.Sprintf("use %s or more", least)
		}
		d.Say(n, fmt.Sprintf("%s: %s %s", name, escape.Quote(s, escape.Short), what), hint)
		return otherwise
	}
	return v
}

// follow returns the node that an alias stands for, and other nodes as they are.
func follow(n *yaml.Node) *yaml.Node {
	for hops := 0; n != nil && n.Kind == yaml.AliasNode && hops < 8; hops++ {
		n = n.Alias
	}
	return n
}

// suggest returns a hint with the known key that is closest to key, or with all of them.
func suggest(key string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := edits(strings.ToLower(key), k); d < distance && d < len(k) { // else nothing of it is left
			best, distance = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "the keys are " + strings.Join(known, ", ")
}

// edits is the Levenshtein distance, for short texts.
func edits(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
