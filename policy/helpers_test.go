package policy_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/policy"
)

func mustNew(t testing.TB, rules []policy.Rule, members []policy.Member, options ...policy.Option) *policy.Engine {
	t.Helper()
	e, err := policy.New(rules, members, options...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func mustLoad(t testing.TB, text string, options ...policy.Option) *policy.Engine {
	t.Helper()
	e, err := policy.Load("policy.csv", strings.NewReader(text), options...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func decide(t testing.TB, e *policy.Engine, user, port, method, path string) policy.Decision {
	t.Helper()
	d, err := e.Decide(context.Background(), policy.Request{User: user, Port: port, Method: method, Path: path})
	if err != nil && d.Allowed {
		t.Fatalf("allowed with an error: %v", err)
	}
	return d
}

// allowed reports the decision for GET on the port internal.
func allowed(t testing.TB, e *policy.Engine, user, path string) bool {
	t.Helper()
	return decide(t, e, user, "internal", "GET", path).Allowed
}

// wantOneError checks that err is one configuration error with this position, whose text
// contains all parts, which are separated by "…".
func wantOneError(t *testing.T, err error, position, parts string) {
	t.Helper()
	all := configerror.All(err)
	if len(all) != 1 {
		t.Fatalf("%d errors, want 1: %v", len(all), err)
	}
	if got := all[0].Position(); got != position {
		t.Errorf("the error is at %q, want %q", got, position)
	}
	for part := range strings.SplitSeq(parts, "…") {
		if !strings.Contains(all[0].Error(), part) {
			t.Errorf("%q does not contain %q", all[0].Error(), part)
		}
	}
}

func hasAny(s string, parts ...string) bool {
	for _, w := range parts {
		if strings.Contains(s, w) {
			return true
		}
	}
	return false
}

var errBroken = errors.New("broken")

// read loads a policy and returns its rules and memberships.
func read(name string, r io.Reader) ([]policy.Rule, []policy.Member, error) {
	e, err := policy.Load(name, r)
	rules, members := e.Rules()
	return rules, members, err
}

// isError reports whether an error contains a text.
func isError(err error, text string) bool { return err != nil && strings.Contains(err.Error(), text) }
