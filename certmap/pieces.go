package certmap

import (
	"bytes"

	"go.yaml.in/yaml/v3"
)

// pieceSize is how much of a file is parsed at once. The tree of a whole file takes
// over twenty times its size.
const pieceSize = 256 << 10

// piece is some of the list below "mappings:", as a document of its own.
type piece struct {
	text  []byte
	lines int // to add to a line of head and text
}

const head = "mappings:\n"

// cut cuts a file between items of its list, or returns nothing for a file that is
// not simply "mappings:" and items that begin, each with a dash, in one column.
//
// If every piece can be parsed, the file is what its pieces are, one after another:
// a line with a dash in that column ends everything that an item can hold, except a
// quoted text or a flow collection that is still open, and then the piece before
// cannot be parsed; nor can a piece with an alias of an anchor in another. Whoever
// finds a piece that cannot be parsed must parse the file whole.
func cut(data []byte, size int) (pieces []piece, items int) {
	for _, end := range []string{"\u0085", "\u2028", "\u2029"} {
		if bytes.Contains(data, []byte(end)) {
			return nil, 0 // these end lines too, and lines are counted below
		}
	}
	if bytes.Count(data, []byte("\r")) != bytes.Count(data, []byte("\r\n")) {
		return nil, 0
	}
	column, line, began := -1, 0, 0 // lines from 1
	from, at := 0, 0
	for at < len(data) {
		text := data[at:]
		next := len(data)
		if n := bytes.IndexByte(text, '\n'); n >= 0 {
			text, next = text[:n], at+n+1
		}
		line++
		text = bytes.TrimSuffix(text, []byte("\r"))
		bare := bytes.TrimLeft(text, " ")
		indent := len(text) - len(bare)
		switch {
		case len(bare) == 0 || bare[0] == '#':
		case began == 0 && string(text) == "mappings:":
			began, from = line, next
		case began == 0:
			return nil, 0
		case (column < 0 || column == indent) && (len(bare) == 1 || bare[1] == ' ') && bare[0] == '-':
			if column < 0 {
				column = indent
			} else if at-from >= size {
				pieces = append(pieces, piece{data[from:at], began - 1})
				from, began = at, line-1
			}
			items++
		case column < 0 || indent <= column:
			return nil, 0
		}
		at = next
	}
	if column < 0 {
		return nil, 0
	}
	return append(pieces, piece{data[from:], began - 1}), items
}

// inPieces reads a file piece by piece, and reports whether it could.
func (r *reader) inPieces(data []byte) bool {
	pieces, items := cut(data, r.piece)
	if len(pieces) < 2 {
		return false
	}
	r.b.t = newTable(items)
	number := 0
	for _, p := range pieces {
		text := append([]byte(head), p.text...)
		var document yaml.Node
		if !unmarshal(text, &document) {
			r.b = newBuilder(0) // what was found so far will be found again
			r.lines = 0
			return false
		}
		r.lines = p.lines
		for _, node := range document.Content[0].Content[1].Content {
			number++
			if r.entry(number, node); r.b.report.full() {
				return true
			}
		}
	}
	return true
}

// unmarshal reports whether text is a map of one list.
func unmarshal(text []byte, document *yaml.Node) (ok bool) {
	defer func() {
		if p := recover(); p != nil {
			ok = false
		}
	}()
	if yaml.Unmarshal(text, document) != nil || len(document.Content) != 1 {
		return false
	}
	top := document.Content[0]
	return top.Kind == yaml.MappingNode && len(top.Content) == 2 && top.Content[1].Kind == yaml.SequenceNode
}
