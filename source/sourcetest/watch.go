package sourcetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mtlsguard/mtlsguard/source"
)

// waitFor calls Watch, as a node does, until the newest generation is want.
func (s *suite) waitFor(ctx context.Context, have, want *source.Generation) error {
	for {
		if err := s.store.Watch(ctx, have); err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		got, err := s.store.Load(ctx, have)
		if err != nil && !errors.Is(err, source.ErrNone) {
			return fmt.Errorf("load: %w", err)
		}
		if got != nil && got.Digest() == want.Digest() {
			return nil
		}
	}
}

func checkWatch(s *suite) {
	var have *source.Generation
	for number := range 5 {
		next := s.next(have, "anna", fmt.Sprint(number))
		ctx, cancel := context.WithTimeout(s.ctx, within)
		result := make(chan error, 1)
		go func(have *source.Generation) { result <- s.waitFor(ctx, have, next) }(have)
		time.Sleep(20 * time.Millisecond) // most watches have begun to listen; the others look first
		s.commit(next)
		committed := time.Now()
		if err := <-result; err != nil {
			s.Errorf("generation %d: %v within %v", number+1, err, within)
		}
		s.Logf("generation %d was seen after %v", number+1, time.Since(committed))
		cancel()
		have = s.load()
	}
}

func checkWatchMissed(s *suite) {
	first := s.commit(s.next(nil, "anna", "1"))
	ctx, cancel := context.WithTimeout(s.ctx, within)
	defer cancel()
	if err := s.store.Watch(ctx, nil); err != nil {
		s.Errorf("watch without a generation: %v, want nil, since there is one", err)
	}
	have := s.load()
	s.commit(s.next(first, "anna", "2"))
	if err := s.store.Watch(ctx, have); err != nil {
		s.Errorf("watch with generation 1: %v, want nil, since there is generation 2", err)
	}
}

func checkWatchCanceled(s *suite) {
	s.commit(s.next(nil, "anna", "1"))
	have := s.load()
	ctx, cancel := context.WithCancel(s.ctx)
	result := make(chan error, 1)
	go func() {
		for {
			if err := s.store.Watch(ctx, have); err != nil {
				result <- err
				return
			}
		}
	}()
	cancel()
	select {
	case err := <-result:
		if !errors.Is(err, context.Canceled) {
			s.Errorf("watch: %v, want context.Canceled", err)
		}
	case <-time.After(within):
		s.Errorf("the watch did not end within %v", within)
	}
}

func checkManyWatches(s *suite) {
	const watches = 20
	s.commit(s.next(nil, "anna", "1"))
	have := s.load()
	next := s.next(have, "anna", "2")
	ctx, cancel := context.WithTimeout(s.ctx, within)
	defer cancel()
	errs := make([]error, watches)
	var running sync.WaitGroup
	for i := range errs {
		running.Go(func() { errs[i] = s.waitFor(ctx, have, next) })
	}
	s.commit(next)
	running.Wait()
	if err := errors.Join(errs...); err != nil {
		s.Error(err)
	}
}
