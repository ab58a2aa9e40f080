package source_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/source"
)

// A report that cannot be read, or that is under the name of another node, is an error of that one: it hides no
// others.
func TestBrokenReportHidesNoOthers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store := source.Folder(folder)
	for _, node := range []string{"a", "b"} {
		if err := store.PutReport(t.Context(), source.Report{Node: node, Number: 1}); err != nil {
			t.Fatal(err)
		}
	}
	for name, data := range map[string]string{
		source.DigestOf([]byte("broken")).String(): "{",
		source.DigestOf([]byte("large")).String():  `{"node": "` + strings.Repeat("x", 1<<20) + `"}`,
		source.DigestOf([]byte("other")).String():  `{"node": "a", "number": 7}`,
		"stray": "not of a node",
	} {
		if err := os.WriteFile(filepath.Join(folder, "node", name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("nowhere", filepath.Join(folder, "node", source.DigestOf([]byte("gone")).String())); err != nil { // as if it was removed meanwhile
		t.Fatal(err)
	}
	all, err := store.Reports(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var good, bad int
	for _, r := range all {
		switch {
		case len(r.Errors) > 0 && strings.Contains(r.Errors[0], "cannot be read") && r.Number == 0:
			bad++
		case (r.Node == "a" || r.Node == "b") && r.Number == 1:
			good++
		default:
			t.Errorf("report: %+v", r)
		}
	}
	if good != 2 || bad != 3 {
		t.Errorf("%d good reports and %d that cannot be read, want 2 and 3: %+v", good, bad, all)
	}
}

// A report counts only for the node whose name its file has.
func FuzzReadReport(f *testing.F) {
	f.Add([]byte(`{"node": "a", "number": 7}`))
	f.Add([]byte("{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r := source.ReadReport(source.DigestOf([]byte("a")).String(), data); r.Node != "a" && len(r.Errors) == 0 {
			t.Errorf("report: %+v", r)
		}
	})
}
