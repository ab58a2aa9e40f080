//go:build linux

package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const troubleshooting = "../docs/troubleshooting.md"

// trouble is a row of a table in docs/troubleshooting.md: first what a reader sees.
type trouble struct {
	see     string   // the first cell, without its backticks
	texts   []string // the code spans of that cell; one of them is seen
	row     string   // the whole row
	command string   // the cell before the last
	change  string   // the last cell
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

var linkTarget = regexp.MustCompile(`\]\([^)]*\)`)

func spans(cell string) []string {
	var out []string
	for _, found := range codeSpan.FindAllStringSubmatch(cell, -1) {
		out = append(out, strings.ReplaceAll(found[1], `\|`, "|"))
	}
	return out
}

// troubles returns the rows of the page. Those whose client is "not tried" are left out.
func troubles(tb testing.TB) []trouble {
	tb.Helper()
	data, err := os.ReadFile(troubleshooting)
	if err != nil {
		tb.Fatal(err)
	}
	var out []trouble
	inTable := false
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		cells, ok := tableCells(line)
		if !ok {
			inTable = false
			continue
		}
		if !inTable || strings.HasPrefix(cells[0], "---") { // the head of a table
			inTable = true
			continue
		}
		found := spans(cells[0])
		if len(found) == 0 {
			tb.Fatalf("a row without a code span: %s", line)
		}
		if strings.HasSuffix(cells[1], ", not tried") {
			continue
		}
		row := trouble{see: linkTarget.ReplaceAllString(strings.NewReplacer("`", "", "[", "").Replace(cells[0]), ""), texts: found, row: line, command: cells[len(cells)-2], change: cells[len(cells)-1]}
		out = append(out, row)
	}
	return out
}

func tableCells(line string) ([]string, bool) {
	line, ok := strings.CutPrefix(line, "| ")
	if !ok && !strings.HasPrefix(line, "|-") {
		return nil, false
	}
	line = strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), `\|`, "\x00")
	var cells []string
	for cell := range strings.SplitSeq(line, "|") {
		cells = append(cells, strings.TrimSpace(strings.ReplaceAll(cell, "\x00", `\|`)))
	}
	return cells, true
}

// troubleshootingCommands returns the commands of mtlsguard that stand outside the tables.
func troubleshootingCommands(tb testing.TB) []string {
	tb.Helper()
	data, err := os.ReadFile(troubleshooting)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		if _, ok := tableCells(line); ok {
			continue
		}
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ "); ok {
			out = append(out, command)
		}
		for _, span := range spans(line) {
			if strings.HasPrefix(span, "mtlsguard ") {
				out = append(out, span)
			}
		}
	}
	return out
}

// shows reports whether output holds the parts of a text in their order. "…" stands for anything.
func shows(output, text string) bool {
	for part := range strings.SplitSeq(text, "…") {
		_, after, found := strings.Cut(output, strings.TrimSpace(part))
		if !found {
			return false
		}
		output = after
	}
	return true
}

// remedy is what the last cell of a row tells the reader to do.
type remedy struct {
	lines    [][2]string // file and line
	commands []string
	options  []string // of the client
}

var fileLine = regexp.MustCompile("(mtlsguard\\.yaml|users\\.yaml|policy\\.csv): `([^`]+)`")

func (r trouble) remedy() remedy {
	var out remedy
	cell := r.change
	for _, found := range fileLine.FindAllStringSubmatch(cell, -1) {
		out.lines = append(out.lines, [2]string{found[1], strings.ReplaceAll(found[2], `\|`, "|")})
	}
	for _, span := range spans(fileLine.ReplaceAllString(cell, "")) {
		switch first, _, _ := strings.Cut(span, " "); {
		case slices.Contains([]string{"mtlsguard", "keytool", "cat", "certutil", "mv", "openssl"}, first):
			out.commands = append(out.commands, span)
		case strings.HasPrefix(span, "- "):
		case strings.HasPrefix(span, "-"), strings.HasPrefix(span, "https:"):
			out.options = append(out.options, strings.Fields(span)...)
		case strings.Contains(span, "("):
			out.options = append(out.options, span)
		}
	}
	return out
}

func (r remedy) isEmpty() bool {
	return len(r.lines) == 0 && len(r.commands) == 0 && len(r.options) == 0
}

// Every row of the page has its case, and every case its row.
func TestTroubleshootingRowsAreTried(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	var cases []string
	for _, c := range slices.Concat(clientTroubles, reasonTroubles) {
		cases = append(cases, c.see)
	}
	for _, c := range logTroubles {
		cases = append(cases, c.see)
	}
	for _, c := range gatewayTroubles {
		cases = append(cases, c.see)
	}
	for _, see := range cases {
		if tried[see] {
			t.Errorf("two cases for %q", see)
		}
		tried[see] = true
	}
	for _, row := range troubles(t) {
		if !tried[row.see] {
			t.Errorf("no case for the row %q", row.see)
		}
		delete(tried, row.see)
	}
	for see := range tried {
		t.Errorf("no row for the case %q", see)
	}
}
