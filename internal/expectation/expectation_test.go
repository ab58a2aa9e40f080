package expectation

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
)

func TestRowsAreParsedWithTheirLines(t *testing.T) {
	t.Parallel()
	rows, err := Parse("t", []byte("# c\n\nalice p GET /x allow\r\n\t bob  *  POST  \"/a b\"   no-rule  \n"))
	if err != nil || len(rows) != 2 || rows[0] != (Row{3, "alice", "p", "GET", "/x", "allow"}) || rows[1] != (Row{4, "bob", "*", "POST", "/a b", "no-rule"}) {
		t.Errorf("got %+v, %v", rows, err)
	}
	_, err = Parse("t", []byte("a b c d\na b c d e\na b c \"d allow\na b c \"d\"x allow\na b c d allow # why\n"))
	all := configerror.All(err)
	if len(all) != 5 {
		t.Fatalf("got %v", err)
	}
	for i, m := range all {
		if m.Line != i+1 || m.Hint == "" {
			t.Errorf("got %+v", m)
		}
	}
	for _, text := range []string{"", "# nothing\n", "\xff\xfe\n", "a\x00b c d e f\n"} {
		if _, err := Parse("t", []byte(text)); err == nil {
			t.Errorf("%q is a table", text)
		}
	}
}

func TestRowMatchesItsDecision(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		want    string
		allowed bool
		reason  string
		met     bool
	}{
		{"allow", true, "", true}, {"allow", false, "denied", false},
		{"deny", false, "denied", true}, {"deny", false, "no-rule", true}, {"deny", true, "", false},
		{"denied", false, "denied", true}, {"denied", false, "no-rule", false}, {"denied", true, "", false},
		{"no-rule", false, "no-rule", true}, {"no-rule", false, "denied", false}, {"no-rule", true, "", false},
	} {
		if got := (Row{Want: row.want}).Matches(row.allowed, row.reason); got != row.met {
			t.Errorf("%+v: %t, want %t", row, got, row.met)
		}
	}
}

// Every row has five fields, a known decision and an existing line.
func FuzzParse(f *testing.F) {
	f.Add("alice p GET /x allow\n")
	f.Add("a b c \"\\u0020\" deny\n#\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := Parse("t", []byte(text))
		if err == nil && len(rows) == 0 {
			t.Error("a table without rows")
		}
		lines := strings.Count(text, "\n") + 1
		for _, r := range rows {
			if r.Line < 1 || r.Line > lines || r.Want == "" {
				t.Errorf("got %+v", r)
			}
		}
		for _, m := range append(configerror.All(err), configerror.All(Check("t", rows, Site{Ports: []string{"p"}}))...) {
			if m.Hint == "" {
				t.Errorf("got %+v", m)
			}
		}
	})
}
