package mtlsguard_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// publicPackages returns the folders of the packages that other modules can import, of all modules.
func publicPackages(t *testing.T) []string {
	t.Helper()
	var packages []string
	err := filepath.WalkDir(".", func(path string, entry os.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && (slices.Contains([]string{"internal", "testdata", "cmd", "examples", "deploy", "tools", "e2e", "bench"}, name) || len(name) > 1 && name[0] == '.'):
			return filepath.SkipDir
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			packages = append(packages, filepath.ToSlash(filepath.Dir(path)))
		}
		return nil
	})
	slices.Sort(packages)
	packages = slices.Compact(packages)
	if err != nil || len(packages) < 20 {
		t.Fatalf("%d packages: %v", len(packages), err)
	}
	return packages
}

// docs/stability.md says of every package that others can import whether it may change.
func TestStabilityNamesEveryPackage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/stability.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range publicPackages(t) {
		if name != "." && !strings.Contains(string(page), "`"+name+"`") && !strings.Contains(string(page), "`"+filepath.Base(name)+"`") {
			t.Errorf("docs/stability.md does not name %s", name)
		}
	}
}

// Every package has an example that go test runs, and that uses no internal package: users can
// copy it.
func TestEveryPackageHasARunnableExample(t *testing.T) {
	t.Parallel()
	for _, name := range publicPackages(t) {
		files, err := filepath.Glob(filepath.Join(name, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(file string) bool { return hasRunnableExample(t, file) }) {
			t.Errorf("%s has no example with output that imports no internal package", name)
		}
	}
}

func hasRunnableExample(t *testing.T, name string) bool {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	internal := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return strings.Contains(i.Path.Value, "/internal/") })
	return !internal && slices.ContainsFunc(doc.Examples(file), func(e *doc.Example) bool { return e.Output != "" || e.EmptyOutput })
}

// The files that the package comment names exist.
func TestPackageCommentNamesFiles(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`[a-z]+(/[a-z]+)*\.go\b`).FindAllString(string(text), -1)
	if len(names) < 20 {
		t.Errorf("%d files, want 20 or more", len(names))
	}
	for _, name := range names {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
