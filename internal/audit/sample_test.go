package audit

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestOneLineAMinuteForAnErrorOfTheProgram(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sampler
		noPort, denied := kind{"decision", "refuse", "", "no-port"}, kind{"decision", "refuse", "p", "denied"}
		written := func(k kind) (lines int, suppressed uint64) {
			for range 200 {
				if n, ok := s.take(k); ok {
					lines++
					suppressed += n
				}
			}
			return lines, suppressed
		}
		for _, row := range []struct {
			after      time.Duration
			lines      int
			suppressed uint64
			others     int
		}{
			{0, 1, 0, 100},
			{59 * time.Second, 0, 0, 100},
			{time.Second, 1, 399, 100},
			{10 * time.Second, 0, 0, 100},
		} {
			time.Sleep(row.after)
			if lines, suppressed := written(noPort); lines != row.lines || suppressed != row.suppressed {
				t.Errorf("after %s: %d lines, %d suppressed", row.after, lines, suppressed)
			}
			if lines, _ := written(denied); lines != row.others {
				t.Errorf("after %s: %d lines of another reason", row.after, lines)
			}
		}
		time.Sleep(3 * time.Second)
		if got := s.takeSuppressed(2 * time.Second); got[noPort] != 0 || got[denied] != 100 {
			t.Errorf("in the same minute: %v", got)
		}
		if got := s.takeSuppressed(0); got[noPort] != 399 {
			t.Errorf("at the end: %v", got)
		}
	})
}
