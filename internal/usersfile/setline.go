package usersfile

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
)

// setInLines is Set for JSON lines and one key.
func setInLines(name string, data []byte, f Field, ids []string) ([]byte, error) {
	var out []byte
	found := map[string]bool{}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		var m struct{ ID string }
		if json.Unmarshal(line, &m) != nil || !slices.Contains(ids, m.ID) {
			out = append(out, line...)
			continue
		}
		found[m.ID] = true
		next, ok := setInLine(line, f)
		if !ok {
			return nil, notInPlace(name, number, f)
		}
		out = append(out, next...)
	}
	return out, checkFound(name, ids, found)
}

// setInLine edits a line that is a JSON object, and reports whether it could.
func setInLine(line []byte, f Field) ([]byte, bool) {
	d := json.NewDecoder(bytes.NewReader(line))
	if _, err := d.Token(); err != nil {
		return nil, false
	}
	text := f.Text
	if !f.Bool {
		text = quoteJSON(f.Text)
	}
	for first := true; d.More(); first = false {
		before := d.InputOffset() // after the value before, or the brace
		key, err := d.Token()
		if err != nil {
			return nil, false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return nil, false
		}
		end := d.InputOffset()
		if key != f.Key {
			continue
		}
		if f.Text != "" {
			return bytes.Join([][]byte{line[:end-int64(len(value))], []byte(text), line[end:]}, nil), true
		}
		rest := line[end:]
		if first {
			rest = bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimLeft(rest, " \t"), []byte(",")), " \t")
		}
		return append(bytes.Clone(line[:before]), rest...), true
	}
	if f.Text == "" {
		return line, true // it is not there
	}
	end := bytes.LastIndexByte(line, '}')
	head := bytes.TrimRight(line[:end], " ")
	return bytes.Join([][]byte{head, []byte(", " + strconv.Quote(f.Key) + ": " + text), line[end:]}, nil), true
}
