package regex_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/importer/regex"
)

// A pattern that is written anew matches what the original does.
func TestPatternsAreReadOrRejected(t *testing.T) {
	t.Parallel()
	for text, matches := range map[string][]string{
		`^CN=(?<cn>[^,]+),O=Acme$`: {"CN=a,O=Acme"}, `CN=`: {"xCN=y"}, `^a\.b\,c$`: {"a.b,c"}, `^(?:ab)[0-9]+$`: {"ab12"}, `^\w+\d\s.*$`: {"a1 x"}, `^[\].a]$`: nil, ``: {"x"},
		`a|b`: nil, `(a|b)`: nil, `a+`: nil, `(ab)`: nil, `((a))`: nil, `(?i)a`: nil, `(?=a)`: nil, `a{2}`: nil, `[a-z]{2}`: nil, `[^]a]`: nil, `[[:alpha:]]`: nil, `\bx`: nil, `\x41`: nil, `(a`: nil, `a)`: nil,
		`[a`: nil, `a$b`: nil, `a^b`: nil, `\`: nil, `(?<>a)`: nil, `(?<a-b>a)`: nil, `.++`: nil, `(.)+`: nil, `[a-z]?`: nil, strings.Repeat("a", 5000): nil, `\Qa\E`: nil, `[z-a]`: nil,
	} {
		p, err := regex.Parse(text, false)
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
			if !p.Match.MatchString(m) {
				t.Errorf("%s does not match %s", text, m)
			}
		}
	}
}
