package schematest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

const root = "../.."

// schema is a JSON Schema of docs.
type schema struct {
	*jsonschema.Schema
	tree map[string]any // as it is written
}

var (
	configSchema  = mustLoad("mtlsguard.schema.json", "")
	usersSchema   = mustLoad("users.schema.json", "")
	mappingSchema = mustLoad("users.schema.json", "#/definitions/mapping")
)

// mustLoad reads a schema of docs. part is empty, or the pointer to a definition.
func mustLoad(name, part string) schema {
	data, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		panic(err)
	}
	var s schema
	if err := json.Unmarshal(data, &s.tree); err != nil {
		panic(fmt.Errorf("%s: %w", name, err))
	}
	resource, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		panic(fmt.Errorf("%s: %w", name, err))
	}
	c, id := jsonschema.NewCompiler(), s.tree["$id"].(string)
	if err := c.AddResource(id, resource); err != nil {
		panic(err)
	}
	s.Schema = c.MustCompile(id + part)
	return s
}

// validate returns why a YAML document is not valid. A document that is not YAML is valid:
// there is nothing that a schema could say about it.
func (s schema) validate(text []byte) error {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil || len(document.Content) == 0 {
		return nil
	}
	value, err := jsonValue(document.Content[0], 0)
	if err != nil {
		return nil // aliases that grow without end
	}
	return s.Validate(value)
}

// jsonValue returns the value that an editor gives to its validator: that of YAML 1.2, where
// a date is a text.
func jsonValue(n *yaml.Node, depth int) (any, error) {
	if depth > 64 {
		return nil, fmt.Errorf("line %d is too deep", n.Line)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return jsonValue(n.Alias, depth+1)
	case yaml.MappingNode:
		out := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			value, err := jsonValue(n.Content[i+1], depth+1)
			if err != nil {
				return nil, err
			}
			out[n.Content[i].Value] = value
		}
		return out, nil
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			value, err := jsonValue(c, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, value)
		}
		return out, nil
	}
	switch n.Tag {
	case "!!null":
		return nil, nil
	case "!!bool":
		return n.Value == "true", nil
	case "!!int", "!!float":
		if v, err := strconv.Atoi(n.Value); err == nil {
			return v, nil // also with leading zeros, which YAML 1.1 takes for octal
		}
		var v float64
		if n.Decode(&v) == nil && !math.IsInf(v, 0) && !math.IsNaN(v) {
			return v, nil
		}
	}
	return n.Value, nil
}

// Every sample is valid, and its first line leads an editor to the schema.
func TestSamplesAreValidAndNameTheirSchema(t *testing.T) {
	t.Parallel()
	found := map[string]int{}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".." {
			return filepath.SkipDir
		}
		if ext := filepath.Ext(path); entry.IsDir() || strings.HasPrefix(entry.Name(), ".") || ext != ".yaml" && ext != ".yml" {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, of := schemaOf(data)
		if name == "" {
			return nil
		}
		found[name]++
		if err := of.validate(data); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		line, _, _ := strings.Cut(string(data), "\n")
		target, ok := strings.CutPrefix(line, "# yaml-language-server: $schema=")
		if !ok {
			t.Errorf("%s does not begin with # yaml-language-server: $schema=…/%s", path, name)
			return nil
		}
		if target != of.tree["$id"] {
			if got, want := filepath.Join(filepath.Dir(path), target), filepath.Join(root, "docs", name); got != want {
				t.Errorf("%s names the schema %s, want %s", path, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found["mtlsguard.schema.json"] < 4 || found["users.schema.json"] < 3 {
		t.Errorf("few samples: %v", found)
	}
}

// schemaOf returns the schema for a file, by its keys. The name is empty for other files.
func schemaOf(data []byte) (name string, of schema) {
	var keys map[string]yaml.Node
	if yaml.Unmarshal(data, &keys) != nil {
		return "", schema{}
	}
	_, mappings := keys["mappings"]
	_, ports := keys["ports"]
	_, reverse := keys["reverse"]
	switch {
	case mappings:
		return "users.schema.json", usersSchema
	case ports || reverse:
		return "mtlsguard.schema.json", configSchema
	}
	return "", schema{}
}

// Every example in the documentation is valid.
func TestExamplesOfTheDocumentationAreValid(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, page := range append(pages, root+"/README.md") {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split("\n"+string(data), "\n```") {
			kind, text, _ := strings.Cut(part, "\n")
			switch {
			case i%2 == 0:
			case kind == "jsonl":
				for line := range strings.Lines(text) {
					found++
					if err := mappingSchema.validate([]byte(line)); err != nil {
						t.Errorf("%s: %s%v", page, line, err)
					}
				}
			case kind == "yaml":
				name, of := schemaOf([]byte(text))
				if name == "" {
					continue
				}
				found++
				if err := of.validate([]byte(text)); err != nil {
					t.Errorf("%s: %v\n%s", page, err, text)
				}
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d examples", found)
	}
}
