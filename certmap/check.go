package certmap

import (
	"github.com/mtlsguard/mtlsguard/internal/usersload/hook"
	"github.com/mtlsguard/mtlsguard/trust"
)

func init() { hook.Check = checkLine }

// checkLine is hook.Check.
func checkLine(name string, line []byte) error {
	s := newSettings()
	WithIssuers(func(string) (trust.Digest, error) { return trust.Digest{1}, nil })(s)
	var r report
	if _, n := s.reader(name, &r, checking{&r}).readLines(line); n == 0 {
		s.reader(name, &r, checking{&r}).rejectNoLines()
	}
	return r.err()
}

// checking is a sink that keeps no mapping.
type checking struct{ report *report }

func (c checking) add(at *origin, m *Mapping) { compile(c.report, at, m) }

func (c checking) addPlain(m *Mapping) bool {
	var wrong report
	_, ok := compile(&wrong, &origin{}, m)
	return ok
}

func (c checking) claimID(*origin, string) bool { return false }

func (c checking) addWrong(*origin, string) {}
