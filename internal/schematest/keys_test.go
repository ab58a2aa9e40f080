package schematest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/certmap"
	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/config"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

// unknown is a key that no reader knows, and that resembles none.
const unknown = "quite-unknown-key"

// The schemas have exactly the keys that mtlsguard reads, at every level. The keys are those
// in the reader's hint about an unknown key. Every level is found by giving each key that the
// reader names a mapping, and a list of mappings, with an unknown key in it.
func TestSchemasHaveTheKeysThatTheReadersKnow(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		of     schema
		read   func(text string) error
		levels int // the least number of levels
	}{
		{"mtlsguard.yaml", configSchema, readConfig, 20},
		{"users.yaml", usersSchema, readUsers("users.yaml"), 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			levels := 0
			var compare func(path []string)
			compare = func(path []string) {
				known := keysAt(row.read, path)
				if known == nil {
					if has := row.of.keys(path); has != nil {
						t.Errorf("%s has no keys, and the schema has %v", at(path), has)
					}
					return
				}
				levels++
				for _, key := range known {
					if key = at(append(path, key)); !slices.Contains(row.of.keys(path), key[strings.LastIndex(key, ".")+1:]) {
						t.Errorf("the schema has no key %s", key)
					}
				}
				for _, key := range row.of.keys(path) {
					if !slices.Contains(known, key) {
						t.Errorf("the schema has a key %s, which is unknown", at(append(path, key)))
					}
				}
				for _, key := range known {
					compare(append(slices.Clone(path), key))
					compare(append(slices.Clone(path), key, "[]"))
				}
			}
			compare(nil)
			if levels < row.levels {
				t.Errorf("only %d levels", levels)
			}
		})
	}
	mapping, _ := mappingSchema.tree["definitions"].(map[string]any)["mapping"].(map[string]any)
	known := hintedKeys(readUsers("users.jsonl")(`{"` + unknown + `": 1}`))
	if has := sortedKeys(mapping["properties"]); !slices.Equal(has, known) {
		t.Errorf("a line has the keys %v, and the schema %v", known, has)
	}
}

func at(path []string) string { return strings.Join(path, ".") }

// readConfig returns the errors in mtlsguard.yaml, or nil if there is a program for which it has
// none: one that may decide, and provides the certificates that are missing.
func readConfig(text string) error {
	var program config.Program
	var first errorlist.List
	if file := config.Parse("mtlsguard.yaml", []byte(text), program, &first); file != nil && first.Len() > 0 {
		for _, port := range file.AllPorts() {
			if port.Cert.Value == "" {
				program.Certificates = append(program.Certificates, port.Name)
			}
		}
		for _, program.Policy = range []bool{false, true} {
			var wrong errorlist.List
			if config.Parse("mtlsguard.yaml", []byte(text), program, &wrong); wrong.Len() == 0 {
				return nil
			}
		}
	}
	return first.Err()
}

func readUsers(name string) func(string) error {
	return func(text string) error {
		_, err := certmap.Load(name, strings.NewReader(text))
		return err
	}
}

// keysAt returns the keys that a reader knows at a path, or nil if it takes no mapping there.
func keysAt(read func(string) error, path []string) []string {
	text := "{" + unknown + ": 1}"
	for _, step := range slices.Backward(path) {
		if step == "[]" {
			text = "[" + text + "]"
		} else {
			text = fmt.Sprintf("{%s: %s}", step, text)
		}
	}
	return hintedKeys(read(text))
}

// hintedKeys returns the keys in the hint about the unknown key, sorted.
func hintedKeys(err error) []string {
	for _, e := range configerror.All(errors.Join(err)) {
		if strings.Contains(e.What, unknown) && strings.Contains(e.What, "unknown key") {
			_, list, _ := strings.Cut(e.Hint, "the keys are ")
			return slices.Sorted(slices.Values(strings.Split(list, ", ")))
		}
	}
	return nil
}

// keys returns the keys of the schema at a path, sorted, or nil if there is no mapping.
func (s schema) keys(path []string) []string {
	nodes := []map[string]any{s.tree}
	for _, step := range path {
		var next []map[string]any
		for _, n := range s.resolve(nodes) {
			child, ok := n["items"].(map[string]any)
			if step != "[]" {
				properties, _ := n["properties"].(map[string]any)
				child, ok = properties[step].(map[string]any)
			}
			if ok {
				next = append(next, child)
			}
		}
		nodes = next
	}
	var out []string
	for _, n := range s.resolve(nodes) {
		out = append(out, sortedKeys(n["properties"])...)
	}
	slices.Sort(out)
	return out
}

// resolve returns the nodes, and all that $ref, allOf and oneOf add to them.
func (s schema) resolve(nodes []map[string]any) []map[string]any {
	out := slices.Clone(nodes)
	for i := 0; i < len(out); i++ {
		if ref, ok := out[i]["$ref"].(string); ok {
			name := strings.TrimPrefix(ref, "#/definitions/")
			out = append(out, s.tree["definitions"].(map[string]any)[name].(map[string]any))
		}
		for _, word := range []string{"allOf", "oneOf"} {
			list, _ := out[i][word].([]any)
			for _, one := range list {
				out = append(out, one.(map[string]any))
			}
		}
	}
	return out
}

func sortedKeys(properties any) []string {
	m, _ := properties.(map[string]any)
	return slices.Sorted(maps.Keys(m))
}

// Every key has a description.
func TestEveryKeyOfTheSchemasIsDescribed(t *testing.T) {
	t.Parallel()
	for _, s := range []schema{configSchema, usersSchema} {
		var look func(path string, n any)
		look = func(path string, n any) {
			switch v := n.(type) {
			case []any:
				for _, one := range v {
					look(path, one)
				}
			case map[string]any:
				properties, _ := v["properties"].(map[string]any)
				for key, one := range properties {
					described := false
					if one, ok := one.(map[string]any); ok && v["if"] == nil || ok && key != "" {
						for _, n := range s.resolve([]map[string]any{one}) {
							described = described || n["description"] != nil
						}
					}
					if !described && !strings.HasSuffix(path, ".if") {
						t.Errorf("%s.%s has no description", path, key)
					}
				}
				for key, one := range v {
					look(path+"."+key, one)
				}
			}
		}
		look("", s.tree)
	}
}
