package follow

import (
	"context"
	"errors"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/internal/panics"
	"github.com/mtlsguard/mtlsguard/source"
)

const (
	hintPause = 10 * time.Millisecond // between two hints: a source may give them for no reason
	// silence is the least time for which a watch waits while the source does not answer, if the
	// watch detects when the source answers again. A watch that ends sooner may end at once each
	// time.
	silence = 50 * time.Millisecond
)

// watched is the result of a watch.
type watched struct {
	err  error
	back bool // it has waited, and the source answers again
}

// watch begins a watch that ends with ctx, unless one is still under way.
func (f *Follower) watch(ctx context.Context) {
	if f.watching != nil {
		return
	}
	f.watching = make(chan watched, 1)
	go watch(ctx, f.config.Source, f.seen, f.watching)
}

// watch sends the result of a watch.
func watch(ctx context.Context, s source.Source, have *source.Generation, result chan<- watched) {
	began := time.Now()
	err := func() (err error) {
		defer panics.AsError(&err, "the source")
		return s.Watch(ctx, have)
	}()
	if ctx.Err() != nil {
		err = nil
	}
	w := watched{err, err == nil && ctx.Err() == nil && time.Since(began) >= silence}
	if errors.Is(err, source.ErrUnsupported) {
		<-ctx.Done() // the next poll is due
	} else {
		fileset.Sleep(ctx, hintPause)
	}
	result <- w
}

// pause waits after a poll that failed. It ends sooner if a watch shows that the source is back:
// after a long outage the pauses are long.
func (f *Follower) pause(ctx context.Context, b *backoff) {
	ctx, cancel := context.WithTimeout(ctx, b.next())
	defer cancel()
	defer b.end()
	select {
	case <-f.watching: // it ended with the last poll
		f.watching = nil
	default:
	}
	f.watch(ctx)
	select {
	case <-ctx.Done():
		return
	case w := <-f.watching:
		f.watching = nil
		if !w.back {
			<-ctx.Done()
		}
	}
}
