package source_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/source"
)

const (
	oneDigest   = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	oneFile     = `{"name":"users.yaml","size":3,"sha256":"` + oneDigest + `"}`
	oneManifest = `{"format":1,"fleet":"orders","number":2,"parent":"` + oneDigest + `","at":"2026-11-29T12:00:00Z","author":"anna","files":[` + oneFile + `]}`
)

// Each row spoils one property of a manifest that is read.
func TestWrongManifestsAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := source.New([]byte(oneManifest), nil, nil); err != nil {
		t.Fatal(err)
	}
	many := make([]string, source.MaxFiles+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"name":"f%04d","size":1,"sha256":"%s"}`, i, oneDigest)
	}
	large := make([]string, 3)
	for i := range large {
		large[i] = fmt.Sprintf(`{"name":"f%d","size":%d,"sha256":"%s"}`, i, source.MaxFile, oneDigest)
	}
	file := func(name string) string { return strings.Replace(oneFile, "users.yaml", name, 1) }
	for _, x := range []struct{ name, old, replacement, want string }{
		{"a newer format", `"format":1`, `"format":2,"new":{"A":[1]}`, "update this node first"},
		{"an older format", `"format":1`, `"format":0`, "reads format 1"},
		{"no format", `"format":1,`, ``, "has no format"},
		{"an unknown key", `"number"`, `"needs":2,"number"`, `unknown field "needs"`},
		{"a key twice", `"number"`, `"number":1,"number"`, "occurs twice"},
		{"a key in other letters", `"number"`, `"Number"`, "not in lower case"},
		{"a key in letters that Go folds", `"files"`, `"fileſ":[],"files"`, "not in lower case"},
		{"text after the end", `]}`, `]}{}`, "not valid JSON"},
		{"no fleet", `"orders"`, `""`, "fleet is empty"},
		{"number 0", `"number":2`, `"number":0`, "number is 0"},
		{"a negative number", `"number":2`, `"number":-1`, "cannot be read"},
		{"number 1 with a parent", `"number":2`, `"number":1`, "number 1 has a parent"},
		{"number 2 without a parent", `"parent":"` + oneDigest + `",`, ``, "has no parent"},
		{"a digest in upper case", `"parent":"ba`, `"parent":"BA`, "lower-case"},
		{"a short digest", oneDigest, oneDigest[:62], "is not a SHA-256 digest"},
		{"no author", `"anna"`, `""`, "author is empty"},
		{"a long author", `"anna"`, `"` + strings.Repeat("a", 5000) + `"`, "longer than"},
		{"restores itself", `"author"`, `"restores":2,"author"`, "restores is 2"},
		{"no files", oneFile, ``, "files is empty"},
		{"too many files", oneFile, strings.Join(many, ","), "there are 1001 files"},
		{"too many bytes", oneFile, strings.Join(large, ","), "more than 512 MiB"},
		{"a file of 1 GiB", `"size":3`, `"size":1073741824`, "has size 1073741824"},
		{"a negative size", `"size":3`, `"size":-1`, "has size -1"},
		{"a file twice", oneFile, oneFile + "," + oneFile, "not in its place"},
		{"files not sorted", oneFile, oneFile + "," + file("a"), "not in its place"},
		{"files that differ in case", oneFile, file("Users.yaml") + "," + oneFile, "differ in case only"},
		{"a file that is a folder in other case", oneFile, file("Users.yaml") + "," + file("users.yaml/a"), "also the folder of"},
		{"a file that is a folder", oneFile, oneFile + "," + file("users.yaml/a"), "also the folder of"},
		{"a way out", "users.yaml", "../users.yaml", "not a path"},
		{"an absolute name", "users.yaml", "/users.yaml", "not a path"},
		{"a dot", "users.yaml", ".", "not a path"},
		{"a hidden file", "users.yaml", ".users.yaml", "begins with a dot"},
		{"a hidden folder", "users.yaml", "a/.git/users.yaml", "begins with a dot"},
		{"a backslash", "users.yaml", `a\\..\\users.yaml`, "a backslash"},
		{"a control character", "users.yaml", `a\u0000`, "a control character"},
		{"a stream of Windows", "users.yaml", `users.yaml:x`, "a colon"},
		{"a long name", "users.yaml", strings.Repeat("a", 256), "longer than 255 bytes"},
		{"the name of the manifest", "users.yaml", "MANIFEST", "is reserved"},
		{"the name of the manifest as a folder", "users.yaml", "MANIFEST/users.yaml", "is reserved"},
		{"the name of the signatures in other case", "users.yaml", "manifest.SIG", "is reserved"},
		{"a manifest that is too long", `"author"`, `"note":"` + strings.Repeat("a", source.MaxManifest) + `","author"`, "more than 512 KiB"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			raw := strings.Replace(oneManifest, x.old, x.replacement, 1)
			if raw == oneManifest {
				t.Fatal("nothing was spoiled")
			}
			if _, err := source.New([]byte(raw), nil, nil); err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("%v, want %q", err, x.want)
			}
		})
	}
}

// A manifest that is read can be written and read again, and describes the same.
func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(oneManifest))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"files":[{"name":"a"},{"NAME":"b"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		g, err := source.New(raw, nil, nil)
		if err != nil {
			return
		}
		again, err := json.Marshal(g.Manifest)
		if err != nil {
			t.Fatal(err)
		}
		second, err := source.New(again, nil, nil)
		if err != nil && len(again) <= source.MaxManifest {
			t.Fatalf("%s: the manifest cannot be read again: %v", again, err)
		}
		if err != nil {
			return
		}
		if m, n := g.Manifest, second.Manifest; m.Number != n.Number || m.Parent != n.Parent || len(m.Files) != len(n.Files) {
			t.Errorf("%+v, then %+v", m, n)
		}
	})
}

// Bytes that are not an envelope are refused, and an envelope that is read is encoded as it was
// read.
func FuzzDecode(f *testing.F) {
	g, err := source.New([]byte(oneManifest), []source.Signature{{Value: []byte("x")}}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(g.Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := source.Decode(data, nil)
		if err != nil {
			return
		}
		again, err := source.Decode(g.Encode(), nil)
		if err != nil || !again.Same(g) {
			t.Errorf("the generation cannot be read again, or is another: %v", err)
		}
	})
}
