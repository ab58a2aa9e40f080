package policy_test

import (
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/policy"
)

// A rule cannot name a user that no caller can have.
func TestReservedNamesAreRejectedInRules(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ subject, hint string }{
		{"user:Default", ""}, {"group:Everybody", ""}, {"group:Authenticated", ""}, {"group:Anonymous", ""}, {"user:alice", ""}, {"group:everybody", ""},
		{"user:default", "user:Default"}, {"user:DEFAULT", "user:Default"}, {"user:Everybody", "group:Everybody"}, {"user:everybody", "group:Everybody"}, {"user:ANONYMOUS", "group:Anonymous"},
		{"group:Default", "user:Default"}, {"group:default", "user:Default"},
	} {
		_, err := policy.Load("p.csv", strings.NewReader("p, "+row.subject+", *, GET, /a, allow\n"))
		if row.hint == "" && err != nil || row.hint != "" && (err == nil || !strings.Contains(err.Error(), row.hint)) {
			t.Errorf("%s: %v, want a hint with %q", row.subject, err, row.hint)
		}
	}
}
