package nginxconf

import (
	"os"
	"regexp"
	"strings"
	"testing"
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
		p, err := parsePattern(row[1], false)
		if err != nil {
			t.Errorf("%s: %v", row[1], err)
			continue
		}
		for _, s := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			subjects++
			found := p.match.FindStringSubmatch(s[1])
			if found == nil || len(found) > 1 && found[1] != "alice" {
				t.Errorf("%s does not match %s, or names another user: %q", s[1], row[1], found)
			}
		}
	}
	if len(rows) != 5 || subjects != 5 {
		t.Errorf("%d rows, %d subjects", len(rows), subjects)
	}
}

// A pattern that is written anew matches what the original does.
func TestPatternsAreReadOrRejected(t *testing.T) {
	t.Parallel()
	for text, matches := range map[string][]string{
		`^CN=(?<cn>[^,]+),O=Acme$`: {"CN=a,O=Acme"}, `CN=`: {"xCN=y"}, `^a\.b\,c$`: {"a.b,c"}, `^(?:ab)[0-9]+$`: {"ab12"}, `^\w+\d\s.*$`: {"a1 x"}, `^[\].a]$`: nil, ``: {"x"},
		`a|b`: nil, `(a|b)`: nil, `a+`: nil, `(ab)`: nil, `((a))`: nil, `(?i)a`: nil, `(?=a)`: nil, `a{2}`: nil, `[a-z]{2}`: nil, `[^]a]`: nil, `[[:alpha:]]`: nil, `\bx`: nil, `\x41`: nil, `(a`: nil, `a)`: nil,
		`[a`: nil, `a$b`: nil, `a^b`: nil, `\`: nil, `(?<>a)`: nil, `(?<a-b>a)`: nil, `.++`: nil, `(.)+`: nil, `[a-z]?`: nil, strings.Repeat("a", 5000): nil, `\Qa\E`: nil, `[z-a]`: nil,
	} {
		p, err := parsePattern(text, false)
		if matches == nil {
			if err == nil {
				t.Errorf("%s is read", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		for _, m := range matches {
			if !p.match.MatchString(m) {
				t.Errorf("%s does not match %s", text, m)
			}
		}
	}
}
