package errorlist_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/internal/errorlist"
)

func TestListOrdersAndJoins(t *testing.T) {
	t.Parallel()
	var l errorlist.List
	if l.Err() != nil || l.Len() != 0 {
		t.Error("an empty list has an error")
	}
	for _, m := range []configerror.Error{
		{File: "b", Line: 1, What: "4"}, {File: "a", Line: 10, What: "3"}, {File: "a", Line: 2, Column: 5, What: "2"}, {File: "a", Line: 2, Column: 1, What: "1"},
		{What: "0a"}, {What: "0b"},
	} {
		l.Add(m)
	}
	var got []string
	for _, m := range configerror.All(l.Err()) {
		got = append(got, m.What)
	}
	if want := "0a 0b 1 2 3 4"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if m, ok := errors.AsType[*configerror.Error](l.Err()); !ok || m.What != "0a" {
		t.Errorf("got %v, want 0a", m)
	}
}

// Merge keeps every error: one that is not a configuration error becomes one, also between others.
func TestMergeKeepsEveryError(t *testing.T) {
	t.Parallel()
	m := &configerror.Error{File: "users.yaml", Line: 3, What: "inner"}
	at := configerror.Error{File: "f", Line: 9}
	for _, x := range []struct {
		name string
		err  error
		want []string
	}{
		{"nil", nil, nil},
		{"a configuration error keeps its position", m, []string{"users.yaml:3: inner"}},
		{"wrapped", fmt.Errorf("x: %w", m), []string{"users.yaml:3: inner"}},
		{"another error", errors.New("gone"), []string{"f:9: gone"}},
		{"both", errors.Join(errors.New("gone"), m), []string{"f:9: gone", "users.yaml:3: inner"}},
		{"both, deeper", errors.Join(m, errors.Join(errors.New("gone"), m)), []string{"f:9: gone", "users.yaml:3: inner", "users.yaml:3: inner"}},
		{"one error that wraps two", fmt.Errorf("%w: %w", errors.New("open"), errors.New("gone")), []string{"f:9: open: gone"}},
	} {
		var l errorlist.List
		l.Merge(x.err, at)
		var got []string
		for _, m := range configerror.All(l.Err()) {
			got = append(got, m.Error())
		}
		if strings.Join(got, "\n") != strings.Join(x.want, "\n") {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
	var l errorlist.List
	at.What = "cannot be read"
	l.Merge(errors.New("gone"), at)
	if got := l.Err().Error(); got != "f:9: cannot be read: gone" {
		t.Errorf("got %q, want %q", got, "f:9: cannot be read: gone")
	}
}
