package mtlsguard_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/reason"
)

// threats are the sections of docs/threat-model.md and their numbers of rows.
var threats = map[string]int{
	"A": 23,
	"B": 24,
	"C": 22,
	"D": 17,
	"E": 17,
	"F": 19,
	"G": 12,
	"H": 22,
	"I": 14,
	"J": 15,
	"K": 24,
	"L": 18,
	"M": 10,
	"N": 7,
	"P": 7,
	"Q": 7,
	"X": 5,
	"Y": 14,
	"V": 9,
	"S": 18,
	"T": 7,
	"U": 11,
	"Z": 10,
	"W": 14,
}

var (
	threatID     = regexp.MustCompile(`^[A-Z][0-9]+$`)
	citedTest    = regexp.MustCompile("`([a-z0-9-]+)\\.((?:Test|Fuzz|Benchmark|Example)\\w*)`")
	bareTest     = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*`)
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark|Example)\w*)\(`)
)

// threat is one row of a table.
type threat struct {
	line                     int
	id, attack, answer, test string
}

func readThreats(t *testing.T) (rows []threat, page string) {
	t.Helper()
	data, err := os.ReadFile("docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	page = string(data)
	section := ""
	for i, line := range strings.Split(page, "\n") {
		if heading, ok := strings.CutPrefix(line, "### "); ok {
			section, _, _ = strings.Cut(heading, ".")
		}
		cells := strings.Split(strings.Trim(line, "| "), "|")
		id := strings.TrimSpace(cells[0])
		if !strings.HasPrefix(line, "|") || !threatID.MatchString(id) {
			continue
		}
		if len(cells) != 4 {
			t.Errorf("line %d: %s has %d cells, want 4", i+1, id, len(cells))
			continue
		}
		if id[:1] != section {
			t.Errorf("line %d: %s stands in section %s", i+1, id, section)
		}
		rows = append(rows, threat{i + 1, id, strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2]), strings.TrimSpace(cells[3])})
	}
	return rows, page
}

// Every attack and fault has exactly one row, with a test or with a reason for having none.
func TestThreatModelRows(t *testing.T) {
	t.Parallel()
	rows, _ := readThreats(t)
	seen := map[string]int{}
	for _, row := range rows {
		if first, twice := seen[row.id]; twice {
			t.Errorf("line %d: %s stands in line %d already", row.line, row.id, first)
		}
		seen[row.id] = row.line
		if row.attack == "" || row.answer == "" {
			t.Errorf("line %d: %s has an empty cell", row.line, row.id)
		}
		without, none := strings.CutPrefix(row.test, "– ")
		switch cited := citedTest.MatchString(row.test); {
		case none && len(strings.Fields(without)) < 3:
			t.Errorf("line %d: %s has neither a test nor a reason: %q", row.line, row.id, row.test)
		case !none && !cited:
			t.Errorf("line %d: %s has no test: %q", row.line, row.id, row.test)
		}
	}
	for section, n := range threats {
		for i := range n {
			id := fmt.Sprint(section, i+1)
			if seen[id] == 0 {
				t.Errorf("%s is missing", id)
			}
			delete(seen, id)
		}
	}
	for id, line := range seen {
		t.Errorf("line %d: there is no threat %s", line, id)
	}
}

// Every test that the page names exists in the package that it names.
func TestThreatModelTests(t *testing.T) {
	t.Parallel()
	_, page := readThreats(t)
	there := testsOfModule(t)
	cited := map[string]bool{}
	for _, m := range citedTest.FindAllStringSubmatch(page, -1) {
		cited[m[2]] = true
		if name := m[1] + "." + m[2]; !there[name] {
			t.Errorf("test %s does not exist", name)
		}
	}
	if len(cited) == 0 {
		t.Error("the page names no test")
	}
	for _, name := range bareTest.FindAllString(page, -1) {
		if !cited[name] {
			t.Errorf("%s has no package name", name)
		}
	}
}

// Every id in a comment such as "Covers A7." is a row of the page.
func TestThreatModelIDsOfComments(t *testing.T) {
	t.Parallel()
	rows, _ := readThreats(t)
	covers := regexp.MustCompile(`// .*\bCovers ([A-Z]\d+(?:, [A-Z]\d+)*)`)
	found := 0
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, m := range covers.FindAllStringSubmatch(string(source), -1) {
			for id := range strings.SplitSeq(m[1], ", ") {
				found++
				if !slices.ContainsFunc(rows, func(row threat) bool { return row.id == id }) {
					t.Errorf("%s: the page has no row %s", file, id)
				}
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d ids: %v", found, err)
	}
}

// modulesWithThreats are the modules whose tests the page may name.
var modulesWithThreats = []string{".", "rpc/grpc", "gateways/extauthz", "e2e/rpc", "e2e/acme", "source/spiffe", "store/postgres", "store/nats", "store/nats/e2e", "store/etcd", "store/etcd/e2e", "fleet", "fleet/e2e", "internal/browsertest", "daemon"}

// testsOfModule finds the tests of every package by the last part of its path.
func testsOfModule(t *testing.T) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil && !slices.Contains(modulesWithThreats, filepath.ToSlash(file)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		folder := path.Base(path.Dir(filepath.ToSlash(file)))
		if folder == "." {
			folder = "mtlsguard"
		}
		for _, m := range testFunction.FindAllStringSubmatch(string(source), -1) {
			there[folder+"."+m[1]] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// Every reason is a heading of docs/reasons.md with a text, in the order of the list, and no
// other heading looks like a reason.
func TestReasonsAreHeadings(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("docs/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split("\n"+string(data), "\n### ")[1:]
	all := reason.All()
	for i, part := range parts {
		heading, text, _ := strings.Cut(part, "\n")
		text, _, _ = strings.Cut(text, "\n## ")
		switch {
		case !reason.Reason(heading).Known():
			t.Errorf("heading %q is not a reason", heading)
		case i >= len(all) || string(all[i]) != heading:
			t.Errorf("heading %q is out of order or repeated", heading)
		case len(strings.Fields(text)) < 5:
			t.Errorf("%s is not documented", heading)
		}
	}
	if len(parts) != len(all) {
		t.Errorf("%d headings for %d reasons", len(parts), len(all))
	}
}
