package mtlsguardtest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/expectation"
	"github.com/mtlsguard/mtlsguard/policy"
)

// Policy compares the decisions of a policy, the content of policy.csv, with a table. It needs no
// server. A row is
//
//	user  port  method  path  allow
//
// with blanks between the fields and double quotes around a field that has some; # begins a
// comment. The port * is every port, and the user Default an anonymous caller. The decision is
// allow, deny (any refusal), denied (a refusal by a rule) or no-rule (no rule matches). `mtlsguard
// policy test` reads the same tables.
//
// Each decision that differs fails the test, with the rule that decided and its line. A row that
// no request can match is an error too; its method is a usual one or one of the rules. The options are those of policy.Load: policy.WithMethods for
// the methods of ports, and policy.WithPorts, after which a rule for another port is an error.
func Policy(t testing.TB, csv, table string, options ...policy.Option) {
	requireTest()
	t.Helper()
	engine, err := policy.Load("policy.csv", strings.NewReader(csv), options...)
	if err != nil {
		t.Fatalf("mtlsguardtest: Policy: %s", listErrors(err))
	}
	rows, err := expectation.Parse("table", []byte(table))
	if err == nil {
		err = expectation.Check("table", rows, expectation.Site{Methods: func(string) []string { return methods(engine) }})
	}
	if err != nil {
		t.Fatalf("mtlsguardtest: Policy: %s", listErrors(err))
	}
	_, failed := expectation.Compare(context.Background(), engine, rows, nil)
	for _, f := range failed {
		t.Errorf("mtlsguardtest: table:%s", f)
	}
}

// methods returns the methods that the rules name.
func methods(engine *policy.Engine) (out []string) {
	rules, _ := engine.Rules()
	for _, r := range rules {
		out = append(out, strings.Split(r.Method, "|")...)
	}
	return slices.DeleteFunc(out, func(m string) bool { return m == "*" })
}
