package kongyaml

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// maxNodes bounds the nodes that are read: aliases repeat what they stand for, and a short file
// could be read as a very long one.
const maxNodes = 2_000_000

// reader reads the nodes of a file. Keys that decide nothing are passed over by its callers.
type reader struct {
	file  string
	nodes int // read so far, in all files
	wrong errorlist.List
}

// fields returns the values of a mapping by their keys. A missing mapping has none.
func (r *reader) fields(n *yaml.Node, name string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	if n = r.follow(n); n == nil {
		return out
	}
	if n.Kind != yaml.MappingNode {
		r.reject(n, name+" is not a mapping", "write key: value lines, indented alike")
		return out
	}
	for i := 0; i+1 < len(n.Content) && r.count(n); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch _, twice := out[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			r.reject(key, name+" has a key that is not a text", "")
		case key.Value == "<<":
			r.reject(key, name+" takes keys from elsewhere by <<", "write the keys themselves: which of two keys counts is not clear")
		case twice:
			r.reject(key, fmt.Sprintf("%s has the key %s twice", name, escape.Quote(key.Value, escape.Short)), "remove one")
		default:
			out[key.Value] = value
		}
	}
	return out
}

// list returns the elements of a list. A missing list has none.
func (r *reader) list(n *yaml.Node, name string) []*yaml.Node {
	if n = r.follow(n); n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.reject(n, name+" is not a list", "write [a, b], or lines that begin with a dash")
		return nil
	}
	var out []*yaml.Node
	for _, c := range n.Content {
		if !r.count(n) {
			return nil
		}
		if c = r.follow(c); c != nil {
			out = append(out, c)
		}
	}
	return out
}

// text returns a scalar as it is written. A missing one is "".
func (r *reader) text(n *yaml.Node, name string) string {
	if n = r.follow(n); n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Style&yaml.TaggedStyle != 0 {
		r.reject(n, name+" is not a text", "")
		return ""
	}
	return n.Value
}

// texts returns the elements of a list of scalars.
func (r *reader) texts(n *yaml.Node, name string) (out []string) {
	for _, c := range r.list(n, name) {
		out = append(out, r.text(c, name))
	}
	return out
}

// boolean returns true or false.
func (r *reader) boolean(n *yaml.Node, name string, otherwise bool) bool {
	switch r.text(n, name) {
	case "":
	case "true":
		return true
	case "false":
		return false
	default:
		r.reject(n, name+" is neither true nor false", "write true or false")
	}
	return otherwise
}

// reference returns the name or id by which an entity names another: NAME, {name: NAME} or {id: ID}.
func (r *reader) reference(n *yaml.Node, name string) string {
	if n = r.follow(n); n == nil || n.Kind != yaml.MappingNode {
		return r.text(n, name)
	}
	fields := r.fields(n, name)
	for _, key := range []string{"id", "name", "username"} {
		if text := r.text(fields[key], name); text != "" {
			return text
		}
	}
	r.reject(n, name+" names nothing", "write its name, or {id: ID}")
	return ""
}

// follow returns the node that an alias stands for, and nil for a missing node and for null.
func (r *reader) follow(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	return n
}

// count counts a node, and returns false if there are too many.
func (r *reader) count(n *yaml.Node) bool {
	if r.nodes++; r.nodes == maxNodes {
		r.reject(n, fmt.Sprintf("the configuration has more than %d nodes", maxNodes), "import it in parts, and write what an alias stands for")
	}
	return r.nodes < maxNodes
}

func (r *reader) reject(n *yaml.Node, what, hint string) {
	const most = 20 // errors that are listed
	if r.wrong.Len() < most {
		r.wrong.Add(configerror.Error{File: r.file, Line: n.Line, Column: n.Column, What: what, Hint: hint})
	}
}

func (r *reader) at(n *yaml.Node) importer.Place {
	return importer.Place{File: r.file, Line: n.Line}
}

// isUnresolved reports whether a value stands elsewhere: in the environment or in a vault.
func isUnresolved(text string) bool {
	return strings.Contains(text, "${{") || strings.HasPrefix(text, "{vault://")
}
