package mistake_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mtlsguard/mtlsguard/internal/mistake"
)

func TestError(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]mistake.Mistake{
		"w":                   {What: "w"},
		"w (h)":               {What: "w", Hint: "h"},
		"f: w":                {File: "f", What: "w"},
		"f:3: w":              {File: "f", Line: 3, What: "w"},
		"f:3:7: w (h)":        {File: "f", Line: 3, Column: 7, What: "w", Hint: "h"},
		"f: without a line":   {File: "f", Column: 7, What: "without a line"},
		"users.yaml:1: twice": {File: "users.yaml", Line: 1, What: "twice"},
	} {
		if got := m.Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestListOrdersAndJoins(t *testing.T) {
	t.Parallel()
	var l mistake.List
	if l.Err() != nil || l.Len() != 0 {
		t.Error("an empty list is an error")
	}
	for _, m := range []mistake.Mistake{
		{File: "b", Line: 1, What: "4"}, {File: "a", Line: 10, What: "3"}, {File: "a", Line: 2, Column: 5, What: "2"}, {File: "a", Line: 2, Column: 1, What: "1"},
		{What: "0a"}, {What: "0b"},
	} {
		l.Add(m)
	}
	var got []string
	for _, m := range mistake.All(l.Err()) {
		got = append(got, m.What)
	}
	if want := "0a 0b 1 2 3 4"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	if m, ok := errors.AsType[*mistake.Mistake](l.Err()); !ok || m.What != "0a" {
		t.Errorf("%v", m)
	}
}

func TestAllFindsThemAtAnyDepth(t *testing.T) {
	t.Parallel()
	a, b, c := &mistake.Mistake{What: "a"}, &mistake.Mistake{What: "b"}, &mistake.Mistake{What: "c"}
	for _, x := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 0}, {a, 1}, {fmt.Errorf("x: %w", a), 1}, {errors.Join(a, nil, b), 2},
		{fmt.Errorf("x: %w", errors.Join(a, fmt.Errorf("%w and %w", b, c))), 3}, {errors.Join(errors.New("x"), a), 1},
	} {
		if got := len(mistake.All(x.err)); got != x.want {
			t.Errorf("%v: %d, want %d", x.err, got, x.want)
		}
	}
}

// Merge loses nothing: what is no mistake becomes one, also between others.
func TestMerge(t *testing.T) {
	t.Parallel()
	m := &mistake.Mistake{File: "users.yaml", Line: 3, What: "inner"}
	at := mistake.Mistake{File: "f", Line: 9}
	for _, x := range []struct {
		name string
		err  error
		want []string
	}{
		{"nil", nil, nil},
		{"a mistake keeps its place", m, []string{"users.yaml:3: inner"}},
		{"wrapped", fmt.Errorf("x: %w", m), []string{"users.yaml:3: inner"}},
		{"another error", errors.New("gone"), []string{"f:9: gone"}},
		{"both", errors.Join(errors.New("gone"), m), []string{"f:9: gone", "users.yaml:3: inner"}},
		{"both, deeper", errors.Join(m, errors.Join(errors.New("gone"), m)), []string{"f:9: gone", "users.yaml:3: inner", "users.yaml:3: inner"}},
		{"two words of one error", fmt.Errorf("%w: %w", errors.New("open"), errors.New("gone")), []string{"f:9: open: gone"}},
	} {
		var l mistake.List
		l.Merge(x.err, at)
		var got []string
		for _, m := range mistake.All(l.Err()) {
			got = append(got, m.Error())
		}
		if strings.Join(got, "\n") != strings.Join(x.want, "\n") {
			t.Errorf("%s: %q, want %q", x.name, got, x.want)
		}
	}
	var l mistake.List
	at.What = "cannot be read"
	l.Merge(errors.New("gone"), at)
	if got := l.Err().Error(); got != "f:9: cannot be read: gone" {
		t.Errorf("%q", got)
	}
}
