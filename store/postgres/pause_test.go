package postgres

import (
	"context"
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
	const poll = 50 * time.Millisecond
	c := sharedCluster(t)
	name := c.database(t)
	s := storeOf(t, c.pool(t, name, "postgres"), fleet, withTimes(func(x *times) { x.poll = poll }))
	first := commit(t, s, nil, "1")
	commit(t, s, first, "2")
	for i := range 110 {
		began := time.Now()
		if err := s.Watch(soon(t), first); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); i >= 105 && took < poll {
			t.Errorf("watch %d ended after %v, want a pause of %v", i+1, took, poll)
		}
	}

	// A watch with something else does not wait for the next poll, which takes an hour here.
	s = storeOf(t, c.pool(t, name, "postgres"), fleet, withTimes(func(x *times) { x.poll = time.Hour }))
	for i := 0; ; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		err := s.Watch(ctx, first)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && i > 0 { // the first one may wait for a connection
			break
		}
		if i == 1000 {
			t.Fatal("1,000 watches did not wait")
		}
	}
	if err := s.Watch(soon(t), nil); err != nil {
		t.Errorf("a watch with something else: %v, want nil at once", err)
	}
}
