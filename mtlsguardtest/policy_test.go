package mtlsguardtest_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/mtlsguardtest"
	"github.com/mtlsguard/mtlsguard/policy"
)

const csv = `p, group:staff, *, GET, /orders/*, allow
p, user:bob, *, *, /orders/*, deny
g, user:alice, group:staff
g, user:bob, group:staff
`

func TestPolicyAgreesWithItsTable(t *testing.T) {
	t.Parallel()
	mtlsguardtest.Policy(t, csv, `
# user     port      method  path           expected
alice      internal  GET     /orders/7      allow
alice      *         DELETE  /orders/7      no-rule
bob        internal  GET     /orders/7      denied
Default    internal  GET     "/orders/a b"  deny
`)
}

// A policy with methods of its own needs them as an option, as the configuration has them.
func TestPolicyWithMethodsAndPorts(t *testing.T) {
	t.Parallel()
	const dav = "p, user:alice, dav, PROPFIND|GET, /files/*, allow\n"
	const table = "alice dav PROPFIND /files/a allow\nbob dav PROPFIND /files/a deny\n"
	mtlsguardtest.Policy(t, dav, table, policy.WithMethods("PROPFIND"), policy.WithPorts("dav"))
	for _, row := range []struct {
		table   string
		options []policy.Option
		want    string
	}{
		{table, nil, "PROPFIND"},
		{table, []policy.Option{policy.WithMethods("PROPFIND"), policy.WithPorts("internal")}, "dav"},
		{"alice dav MKCOL /files/a deny\n", []policy.Option{policy.WithMethods("PROPFIND", "MKCOL")}, `table:1: "MKCOL" is not a method`},
	} {
		if got := record(t, func(t testing.TB) { mtlsguardtest.Policy(t, dav, row.table, row.options...) }).text(); !strings.Contains(got, row.want) {
			t.Errorf("got %q, want %q", got, row.want)
		}
	}
}

// Each wrong decision is reported with the rule that decided and its line.
func TestPolicyNamesTheRuleBehindADifference(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, csv, table string
		want             []string
	}{
		{"denied", csv, "bob internal GET /orders/7 allow\n", []string{"table:1: bob internal GET /orders/7: wanted allow, got denied by policy.csv:2\n    p, user:bob, *, *, /orders/*, deny"}},
		{"allowed", csv, "\nalice internal GET /orders/7 deny\n", []string{"table:2: alice internal GET /orders/7: wanted deny, got allow by policy.csv:1\n    p, group:staff, *, GET, /orders/*, allow"}},
		{"no rule", csv, "carol internal GET /orders/7 allow\n", []string{"table:1: carol", "got no-rule\n    no rule for user:carol (groups Authenticated, Everybody)"}},
		{"two", csv, "bob x GET /orders/7 allow\nalice x GET /orders/7 allow\ncarol x GET / allow\n", []string{"table:1: ", "table:3: "}},
		{"a policy with an error", "p, alice\n", "alice x GET / allow\n", []string{"policy.csv:1: the line has 2 fields"}},
		{"a row with an error", csv, "alice GET /orders/7 allow\n", []string{"table:1: the row has 4 fields instead of 5", "user port method path allow|deny"}},
		{"a row that no request can match", csv, "alice x get /orders/7 deny\n", []string{`table:1: "get" is not a method`, "write GET"}},
		{"no rows", csv, "", []string{"the table has no row"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			got := record(t, func(t testing.TB) { mtlsguardtest.Policy(t, row.csv, row.table) }).text()
			for _, want := range append(row.want, "mtlsguardtest: ") {
				if !strings.Contains(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			}
		})
	}
}
