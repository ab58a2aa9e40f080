package configerror_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/mtlsguard/mtlsguard/configerror"
)

func TestErrorNamesPositionAndHint(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]configerror.Error{
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

func TestAllFindsErrorsAtAnyDepth(t *testing.T) {
	t.Parallel()
	a, b, c := &configerror.Error{What: "a"}, &configerror.Error{What: "b"}, &configerror.Error{What: "c"}
	for _, x := range []struct {
		err  error
		want int
	}{
		{nil, 0}, {errors.New("x"), 0}, {a, 1}, {fmt.Errorf("x: %w", a), 1}, {errors.Join(a, nil, b), 2},
		{fmt.Errorf("x: %w", errors.Join(a, fmt.Errorf("%w and %w", b, c))), 3}, {errors.Join(errors.New("x"), a), 1},
	} {
		if got := len(configerror.All(x.err)); got != x.want {
			t.Errorf("%v: %d, want %d", x.err, got, x.want)
		}
	}
}

func TestFindingIsPrintedAsAnErrorIs(t *testing.T) {
	t.Parallel()
	f := configerror.Finding{About: "users", File: "users.yaml", Line: 3, What: "what", Hint: "hint"}
	if got := f.String(); got != "users.yaml:3: what (hint)" {
		t.Error(got)
	}
}
