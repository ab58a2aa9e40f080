package regex_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer/regex"
)

// The subjects of docs/from-nginx.md match the patterns beside them. Covers T1.
func TestPatternsOfThePageMatch(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/from-nginx.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `~([^`]+)` \\| (.*?) \\|").FindAllStringSubmatch(string(page), -1)
	subjects := 0
	for _, row := range rows {
		p, err := regex.Parse(row[1], false)
		if err != nil {
			t.Errorf("%s: %v", row[1], err)
			continue
		}
		for _, s := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			subjects++
			found := p.Match.FindStringSubmatch(s[1])
			if found == nil || len(found) > 1 && found[1] != "alice" {
				t.Errorf("%s does not match %s, or names another user: %q", s[1], row[1], found)
			}
		}
	}
	if len(rows) != 5 || subjects != 5 {
		t.Errorf("%d rows, %d subjects", len(rows), subjects)
	}
}
