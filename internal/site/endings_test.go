package site

import (
	"testing"
	"time"
)

// Covers I6.
func TestRemindersOfAnEnding(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	g := &Generation{endings: []ending{{what: "the list", start: start, end: start.Add(2 * time.Hour), then: "nobody comes in", aging: "the list ages"}}}
	for _, row := range []struct {
		after time.Duration
		what  string
		every time.Duration
	}{
		{time.Hour, "", 0},
		{time.Hour + time.Second, "the list ages", 0},
		{2 * time.Hour, "the list ages", 0},
		{2*time.Hour + time.Second, "the list expired at 2026-01-01T02:00:00Z: nobody comes in", time.Hour},
	} {
		var what string
		var every time.Duration
		for _, r := range g.Reminders(start.Add(row.after)) {
			what += r.What
			every = r.Every
		}
		if what != row.what || every != row.every {
			t.Errorf("after %v: %q each %v, want %q each %v", row.after, what, every, row.what, row.every)
		}
	}
}
