package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
)

// Prune calls Prune of a store, and returns how many generations it removed. A store that keeps no files for a
// time of grace ignores grace.
type Prune func(ctx context.Context, s source.Store, keep int, younger, grace time.Duration) (int, error)

// RunPrune checks how a store removes old generations, in one subtest for each promise. open is as for Run.
func RunPrune(t *testing.T, open func(t *testing.T) source.Store, prune Prune) {
	for _, x := range []struct {
		name  string
		check func(*suite, Prune)
	}{
		{"it keeps the newest, the young, and their files", checkPrune},
		{"a file that came back is kept", checkCameBack},
		{"commits go on meanwhile", checkPruneDuringCommits},
	} {
		t.Run(x.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			x.check(&suite{T: t, ctx: ctx, store: open(t)}, prune)
		})
	}
}

func checkPrune(s *suite, prune Prune) {
	expect := func(keep int, younger time.Duration, want int) {
		s.Helper()
		if n, err := prune(s.ctx, s.store, keep, younger, time.Nanosecond); n != want || err != nil {
			s.Errorf("prune with keep %d and younger %v: %d, %v, want %d", keep, younger, n, err, want)
		}
	}
	const last = 10
	areLeft := func(oldest uint64) {
		s.Helper()
		for number := uint64(1); number <= last; number++ {
			g, err := s.store.At(s.ctx, number)
			if number < oldest {
				if !errors.Is(err, source.ErrNone) {
					s.Errorf("at %d: %v, want ErrNone", number, err)
				}
				continue
			}
			if err == nil {
				_, err = g.Fetch(s.ctx)
			}
			if err != nil {
				s.Errorf("at %d: %v", number, err)
			}
		}
		if all, err := s.store.History(s.ctx, 0, 2*last); err != nil || len(all) != int(last-oldest+1) {
			s.Errorf("the history has %d manifests, %v", len(all), err)
		}
	}
	expect(1, 0, 0) // the store is empty
	var g *source.Generation
	for n := range last {
		g = s.commit(s.nextFiles(g, "anna", map[string]string{"users.yaml": fmt.Sprint(n), "large": fmt.Sprintf("%d%307200d", n, 0), "same": "same"}))
	}
	expect(3, time.Hour, 0)
	expect(20, 0, 0)
	areLeft(1)
	expect(4, 0, 6)
	areLeft(7)
	expect(4, 0, 0)
	expect(0, 0, 3) // 1 is kept
	areLeft(last)
	s.newestIs(g)
	next := s.commit(s.next(g, "anna", "after"))
	s.newestIs(next)
	expect(2, 0, 0)
	if all, err := s.store.History(s.ctx, 0, 10); err != nil || len(all) != 2 {
		s.Errorf("the history has %d manifests, %v, want 2", len(all), err)
	}
}

func checkCameBack(s *suite, prune Prune) {
	first := s.commit(s.next(nil, "anna", "first"))
	second := s.commit(s.next(first, "anna", "second"))
	s.commit(s.next(second, "anna", "first"))
	if n, err := prune(s.ctx, s.store, 1, 0, time.Nanosecond); n != 2 || err != nil {
		s.Errorf("prune: %d, %v", n, err)
	}
	if got := s.content(s.load(), "users.yaml"); got != "first" {
		s.Errorf("the file has %q", got)
	}
}

func checkPruneDuringCommits(s *suite, prune Prune) {
	g := s.commit(s.next(nil, "anna", "0"))
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			for n := range 10 {
				g = s.next(g, "anna", fmt.Sprint(n+1))
				if err := s.store.Commit(s.ctx, g); err != nil {
					return err
				}
			}
			return nil
		}()
	}()
	for ended := false; !ended; {
		select {
		case err := <-done:
			if ended = true; err != nil {
				s.Error(err)
			}
		case <-time.After(10 * time.Millisecond):
		}
		if _, err := prune(s.ctx, s.store, 2, 0, time.Hour); err != nil {
			s.Fatal(err)
		}
		if _, err := s.load().Fetch(s.ctx); err != nil {
			s.Fatal(err)
		}
	}
	s.newestIs(g)
}
