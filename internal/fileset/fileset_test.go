package fileset

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"
)

const block = "-----BEGIN X-----\nAAAA\n-----END X-----\n"

func set(text string) Set { return Set{"file": Of([]byte(text))} }

func TestPauseDependsOnTheChange(t *testing.T) {
	t.Parallel()
	folder := Folder(sha256.Sum256([]byte("names")), fmt.Errorf("x %w", ErrNoFile))
	for name, row := range map[string]struct {
		old, now     Set
		lines, whole time.Duration
	}{
		"a text":                   {set("a\n"), set("b\n"), pauseText, pauseText},
		"a text that is cut":       {set("a\nb\n"), set("a\nb"), pauseCut, pauseCut},
		"a text that is shorter":   {set("a\nb\n"), set("a\n"), pauseText, pauseCut},
		"a text without a line":    {set("ab"), set("ac"), pauseText, pauseText},
		"PEM":                      {set(block), set(block + block), pausePEM, pauseText},
		"PEM, cut between blocks":  {set(block + block), set(block), pausePEM, pauseCut},
		"PEM, cut in a block":      {set(block + block), set(block + block[:20]), pauseCut, pauseCut},
		"one block without a line": {set(block), set(block[:len(block)-1]), pausePEM, pauseCut},
		"a file that is gone":      {set("a\n"), Set{"file": Failed(fmt.Errorf("gone"))}, pauseText, pauseCut},
		"a file that is new":       {Set{}, set(block), pausePEM, pauseText},
		"a folder":                 {Set{"file": Folder([sha256.Size]byte{}, ErrNoFile)}, Set{"file": folder}, pausePEM, pauseText},
	} {
		row.old.Drop() // the comparison needs no data
		if got := row.now.Pause(row.old); got != row.lines {
			t.Errorf("%s: Pause is %v, want %v", name, got, row.lines)
		}
		for name, c := range row.old {
			c.Whole = true
			row.old[name] = c
		}
		for name, c := range row.now {
			c.Whole = true
			row.now[name] = c
		}
		if got := row.now.Pause(row.old); got != row.whole {
			t.Errorf("%s, whole: Pause is %v, want %v", name, got, row.whole)
		}
	}
}

func TestSame(t *testing.T) {
	t.Parallel()
	a, b := set("a"), Set{"file": Of([]byte("a")), "more": Of(nil)}
	if !a.Agrees(b) || a.Same(b) || b.Agrees(a) || !a.Same(set("a")) || a.Same(set("b")) || a.Same(Set{"file": Failed(ErrNoFile)}) {
		t.Error("readings are compared wrongly")
	}
	if !b["more"].Empty() || b["file"].Empty() || Failed(ErrNoFile).Empty() {
		t.Error("the empty file equals another")
	}
}

// Settled reads until two readings in a row are equal. Files that keep changing, and the end
// of the context, end it too. Covers J15.
func TestSettled(t *testing.T) {
	t.Parallel()
	none := func(Set) time.Duration { return 0 }
	texts, n := []string{"a", "ab", "abc", "abc", "abcd"}, 0
	got := Settled(t.Context(), func() Set { n++; return set(texts[n-1]) }, none)
	if !got.Same(set("abc")) || n != 4 {
		t.Errorf("settled after %d readings", n)
	}
	n = 0
	if got := Settled(t.Context(), func() Set { n++; return set(fmt.Sprint(n)) }, none); got != nil || n != rounds+1 {
		t.Errorf("%v after %d readings", got, n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := Settled(ctx, func() Set { return set("a") }, func(Set) time.Duration { return time.Hour }); got != nil {
		t.Errorf("%v after the end of the context", got)
	}
}
