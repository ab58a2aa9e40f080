// Package yamlnode reads YAML and JSON of other programs node by node. A key that stands twice, a
// merge of keys and a value of another type are errors; keys that no reader asks for are passed over.
package yamlnode

import (
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
	"github.com/mtlsguard/mtlsguard/internal/escape"
	"github.com/mtlsguard/mtlsguard/internal/importer"
)

// maxNodes bounds the nodes that are read: aliases repeat what they stand for, and a short file
// could be read as a very long one.
const maxNodes = 2_000_000

// Reader reads the nodes of a file. Errors are collected in Wrong.
type Reader struct {
	File  string
	nodes int // read so far, in all files
	Wrong errorlist.List
}

// Fields returns the values of a mapping by their keys. A missing mapping has none.
func (r *Reader) Fields(n *yaml.Node, name string) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	if n = r.Follow(n); n == nil {
		return out
	}
	if n.Kind != yaml.MappingNode {
		r.Reject(n, name+" is not a mapping", "write key: value lines, indented alike")
		return out
	}
	for i := 0; i+1 < len(n.Content) && r.count(n); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch _, twice := out[key.Value]; {
		case key.Kind != yaml.ScalarNode:
			r.Reject(key, name+" has a key that is not a text", "")
		case key.Value == "<<":
			r.Reject(key, name+" takes keys from elsewhere by <<", "write the keys themselves: which of two keys counts is not clear")
		case twice:
			r.Reject(key, fmt.Sprintf("%s has the key %s twice", name, escape.Quote(key.Value, escape.Short)), "remove one")
		default:
			out[key.Value] = value
		}
	}
	return out
}

// List returns the elements of a list. A missing list has none.
func (r *Reader) List(n *yaml.Node, name string) []*yaml.Node {
	if n = r.Follow(n); n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.Reject(n, name+" is not a list", "write [a, b], or lines that begin with a dash")
		return nil
	}
	var out []*yaml.Node
	for _, c := range n.Content {
		if !r.count(n) {
			return nil
		}
		if c = r.Follow(c); c != nil {
			out = append(out, c)
		}
	}
	return out
}

// Text returns a scalar as it is written. A missing one is "".
func (r *Reader) Text(n *yaml.Node, name string) string {
	if n = r.Follow(n); n == nil {
		return ""
	}
	if n.Kind != yaml.ScalarNode || n.Style&yaml.TaggedStyle != 0 {
		r.Reject(n, name+" is not a text", "")
		return ""
	}
	return n.Value
}

// Texts returns the elements of a list of scalars.
func (r *Reader) Texts(n *yaml.Node, name string) (out []string) {
	for _, c := range r.List(n, name) {
		out = append(out, r.Text(c, name))
	}
	return out
}

// Bool returns true or false.
func (r *Reader) Bool(n *yaml.Node, name string, otherwise bool) bool {
	switch r.Text(n, name) {
	case "":
	case "true":
		return true
	case "false":
		return false
	default:
		r.Reject(n, name+" is neither true nor false", "write true or false")
	}
	return otherwise
}

// Reference returns the name or id by which an entity names another: NAME, {name: NAME} or {id: ID}.
func (r *Reader) Reference(n *yaml.Node, name string) string {
	if n = r.Follow(n); n == nil || n.Kind != yaml.MappingNode {
		return r.Text(n, name)
	}
	fields := r.Fields(n, name)
	for _, key := range []string{"id", "name", "username"} {
		if text := r.Text(fields[key], name); text != "" {
			return text
		}
	}
	r.Reject(n, name+" names nothing", "write its name, or {id: ID}")
	return ""
}

// Follow returns the node that an alias stands for, and nil for a missing node and for null.
func (r *Reader) Follow(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	return n
}

// count counts a node, and returns false if there are too many.
func (r *Reader) count(n *yaml.Node) bool {
	if r.nodes++; r.nodes == maxNodes {
		r.Reject(n, fmt.Sprintf("the configuration has more than %d nodes", maxNodes), "import it in parts, and write what an alias stands for")
	}
	return r.nodes < maxNodes
}

// Reject adds an error at a node.
func (r *Reader) Reject(n *yaml.Node, what, hint string) {
	const most = 20 // errors that are listed
	if r.Wrong.Len() < most {
		r.Wrong.Add(configerror.Error{File: r.File, Line: n.Line, Column: n.Column, What: what, Hint: hint})
	}
}

// At returns the place of a node.
func (r *Reader) At(n *yaml.Node) importer.Place {
	return importer.Place{File: r.File, Line: n.Line}
}
