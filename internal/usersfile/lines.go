package usersfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"

	"github.com/mtlsguard/mtlsguard/configerror"
)

// Line is a mapping as one line of JSON, with its newline.
type Line struct {
	ID   string
	Text []byte
}

// Lines returns the mappings of a file as JSON lines. A line of a .jsonl file stays as it is,
// byte for byte, apart from the issuer, which is what issuer returns for it. Comments of YAML
// are lost.
func Lines(name string, data []byte, issuer func(string) string) ([]Line, error) {
	if !IsJSONLines(name) {
		d, err := read(name, data)
		if err != nil {
			return nil, err
		}
		var out []Line
		for _, item := range d.items {
			fields := d.fields(item, issuer)
			out = append(out, Line{mappingID(item), []byte(formatJSON(fields) + "\n")})
		}
		return out, nil
	}
	var out []Line
	number := 0
	for text := range bytes.Lines(data) {
		number++
		if Blank(text) {
			continue
		}
		line, err := withIssuer(text, issuer)
		if err != nil {
			return nil, &configerror.Error{File: name, Line: number, What: "this line is not a mapping: " + err.Error(), Hint: "mtlsguard lint shows what is wrong with it"}
		}
		out = append(out, line)
	}
	return out, nil
}

// fields returns the keys and values of a mapping in YAML, as they are written.
func (d *document) fields(item *yaml.Node, issuer func(string) string) []Field {
	item = follow(item)
	var out []Field
	for i := 0; i+1 < len(item.Content); i += 2 {
		value := follow(item.Content[i+1])
		f := Field{Key: item.Content[i].Value, Text: value.Value, Bool: item.Content[i].Value == disabledKey}
		if f.Key == "issuer" {
			f.Text = issuer(f.Text)
		}
		for _, v := range value.Content {
			f.List = append(f.List, follow(v).Value)
		}
		out = append(out, f)
	}
	return out
}

func follow(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

var errNotObject = errors.New("it is not a JSON object")

// withIssuer returns a line with another text for its issuer, and its id.
func withIssuer(text []byte, issuer func(string) string) (line Line, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return line, errNotObject
	}
	if line.Text = text; text[len(text)-1] != '\n' {
		line.Text = withNewline(text)
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return line, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return line, err
		}
		end := d.InputOffset()
		var word string
		if json.Unmarshal(value, &word) != nil {
			continue
		}
		switch key {
		case "id":
			line.ID = word
		case "issuer":
			if next := issuer(word); next != word {
				start := end - int64(len(value))
				line.Text = withNewline(bytes.Join([][]byte{text[:start], []byte(quoteJSON(next)), text[end:]}, nil))
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return line, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return line, errNotObject
	}
	return line, nil
}
