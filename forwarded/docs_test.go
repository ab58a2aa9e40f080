package forwarded_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docs/gateways.md contains the tested configurations of gateways byte for byte.
func TestDocsShowTheTestedConfigurations(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/gateways.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/gateways/*.conf")
	if err != nil || len(files) != 4 {
		t.Fatalf("got %v, %v; want four files", files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(page), "\n"+string(text)+"```\n") {
			t.Errorf("docs/gateways.md differs from %s", f)
		}
	}
	for name := range products {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/gateways.md does not name format %s", name)
		}
	}
}
