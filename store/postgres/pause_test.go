package postgres

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestPausesAreShortOnlyWhileTheServerIsDown(t *testing.T) {
	down, starting, other := fmt.Errorf("dial: %w", syscall.ECONNREFUSED), error(&pgconn.PgError{Code: "57P03"}), errors.New("no such role")
	var p pauses
	for range 200 {
		for _, err := range []error{down, starting} {
			if d := p.after(err); d > 150*time.Millisecond {
				t.Fatalf("the pause after %v is %v, want at most 150 ms", err, d)
			}
		}
	}
	// One other error between them, as when the server dies again, does not begin with a long pause.
	for range 3 {
		if d := p.after(other); d != 50*time.Millisecond {
			t.Errorf("the first pause after another error is %v, want 50 ms", d)
		}
		p.after(down)
	}
	var sum time.Duration
	for range 20 {
		sum += p.after(other)
	}
	if last := p.after(other); last != 5*time.Second || sum < 50*time.Second {
		t.Errorf("20 pauses take %v, and the last is %v, want 5 s", sum, last)
	}
}

// A caller that does not get what the listening connection sees, such as from a standby that lags, is slowed down.
func TestWatchThatEndsForTheSameReasonIsSlowedDown(t *testing.T) {
	t.Parallel()
	s := sharedCluster(t).store(t, fleet, withTimes(func(x *times) { x.poll = 50 * time.Millisecond }))
	first := commit(t, s, nil, "1")
	commit(t, s, first, "2")
	count := func() int {
		n := 0
		for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); n++ {
			if err := s.Watch(soon(t), first); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	count()
	if n := count(); n > 10 {
		t.Errorf("%d watches ended in 300 ms", n)
	}
	began := time.Now()
	if err := s.Watch(soon(t), nil); err != nil || time.Since(began) > 40*time.Millisecond {
		t.Errorf("a watch with something else: %v after %v, want at once", err, time.Since(began))
	}
}
