package expectation

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
)

func TestRowsThatNoRequestCanMatchAreErrors(t *testing.T) {
	t.Parallel()
	s := Site{Ports: []string{"internal", "dav"}, Methods: func(p string) []string { return map[string][]string{"dav": {"PROPFIND"}}[p] }}
	for _, row := range []struct{ text, what, hint string }{
		{"alice internal GET /orders deny", "", ""},
		{"Default * GET /orders/ deny", "", ""},
		{"alice internal OPTIONS * deny", "", ""},
		{"alice dav PROPFIND / deny", "", ""},
		{"alice * PROPFIND / deny", "", ""},
		{`alice internal GET "/a b" deny`, "", ""},
		{"alice internal GET /50% deny", "", ""},
		{"alice interal GET / deny", `there is no port "interal"`, "ports are: internal, dav"},
		{"alice internal get / deny", `"get" is not a method`, "write GET"},
		{"alice internal GET|POST / deny", `"GET|POST" is not a method`, "a row for each"},
		{"alice internal * / deny", `"*" is not a method`, "a row for each"},
		{"alice internal PROPFIND / deny", `port internal does not have the method "PROPFIND"`, "methods of the port"},
		{"alice internal FETCH / deny", `"FETCH" is not a method`, "known are GET"},
		{"user:alice internal GET / deny", `"user:alice" is not a user`, "alone: alice"},
		{"group:staff internal GET / deny", `"group:staff" is a group`, "a member"},
		{"Everybody internal GET / deny", `"Everybody" is a group`, "Default"},
		{"default internal GET / deny", `"default" is not a user`, "Default"},
		{`"a b" internal GET / deny`, `"a b" is not a user name`, "a letter or digit"},
		{"alice internal GET orders/7 deny", `"orders/7" is not the path`, ": /orders/7"},
		{"alice internal GET https://localhost/orders/7 deny", `is not the path`, ": /orders/7"},
		{"alice internal GET * deny", `"*" is not the path`, "OPTIONS"},
		{"alice internal GET /a?b=1 deny", `"/a?b=1" is not the path`, ": /a"},
		{"alice internal GET /a//b deny", `"/a//b" is not the path`, "write /a/b"},
		{"alice internal GET /a/../b deny", `"/a/../b" is not the path`, "write /b"},
		{`alice internal GET /a\b deny`, `is not the path`, "ambiguous-path"},
		{"alice internal GET /a%20b deny", `"/a%20b" is not the path`, "decoded"},
	} {
		rows, err := Parse("t", []byte("# table\n"+row.text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		all := configerror.All(Check("t", rows, s))
		switch {
		case row.what == "" && len(all) > 0:
			t.Errorf("%s: got %v", row.text, all[0])
		case row.what == "":
		case len(all) != 1 || all[0].Line != 2 || !strings.Contains(all[0].What, row.what) || !strings.Contains(all[0].Hint, row.hint):
			t.Errorf("%s: %v, want %q, hint %q", row.text, all, row.what, row.hint)
		}
	}
	rows, _ := Parse("t", []byte("alice anything GET / deny\n"))
	if err := Check("t", rows, Site{}); err != nil {
		t.Errorf("without a configuration a port is %v", err)
	}
	rows, _ = Parse("t", []byte("a|b x get y deny\nalice x GET / deny\n"))
	if all := configerror.All(Check("t", rows, s)); len(all) != 5 {
		t.Errorf("not all errors at once: %v", all)
	}
}
