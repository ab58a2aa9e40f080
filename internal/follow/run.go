package follow

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/mtlsguard/mtlsguard/internal/fileset"
	"github.com/mtlsguard/mtlsguard/source"
)

const (
	largeFetch = 256 << 10              // bytes from which on nodes do not fetch at the same moment
	spread     = 100 * time.Millisecond // over which they begin
)

// errRefused is the error of step when the newest generation has just been refused, and errNothingNew
// when the source has answered with something else that changes nothing. Each is followed by a pause,
// since a source can make such answers without end.
var (
	errRefused    = errors.New("refused")
	errNothingNew = errors.New("nothing new")
)

// Run follows the source until ctx ends. It does not wait for a source that continues after that. One
// goroutine handles generations: one that is committed while another is put into effect waits, and only the
// newest is handled then.
func (f *Follower) Run(ctx context.Context) {
	defer f.startReports(ctx)()
	var pause, unwatched backoff
	var watchErr error
	for retry := false; ctx.Err() == nil; retry, watchErr = f.listen(ctx) {
		if retry {
			f.retry()
		}
		err := f.step(ctx) // the first one without a hint
		switch err {
		case nil:
			f.recordWatch(watchErr) // pause is not reset: a source could mix good answers with others
		case errRefused, errNothingNew:
			pause.wait(ctx) // whatever is announced: it could be announced without end
		default:
			f.pause(ctx, &pause)
		}
		if watchErr == nil {
			unwatched.reset()
		} else if err == nil { // else it has waited
			unwatched.wait(ctx)
		}
		f.report(false)
	}
}

// recordWatch records that the source answers and announces nothing, or that it does again.
func (f *Follower) recordWatch(err error) {
	if err != nil && f.unannounced == nil {
		f.config.OnEvent(Event{Kind: NotHeard, Err: err})
	}
	f.unannounced = err
	if err != nil {
		f.change(func(s *State) {
			if s.Err == nil {
				s.Err = fmt.Errorf("the source announces no changes, and is polled: %w", err)
			}
		})
	}
}

// listen waits for a hint, until the next poll is due, or for Retry. An error means that the source
// does not answer. A watch that does not end with its context is left alone, and the source is
// polled.
func (f *Follower) listen(ctx context.Context) (retry bool, err error) {
	wait := f.config.Poll()
	if !f.retryAt.IsZero() {
		wait = min(wait, max(f.retryAt.Sub(f.config.Now()), 0)+time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	f.watch(ctx)
	select {
	case <-f.wake:
		return true, nil
	case <-ctx.Done():
	case w := <-f.watching:
		f.watching, err = nil, w.err
	}
	if ctx.Err() != nil || errors.Is(err, source.ErrUnsupported) || errors.Is(err, source.ErrNone) {
		err = nil
	}
	return !f.retryAt.IsZero() && !f.config.Now().Before(f.retryAt), err
}

// retry makes the next step look at a refused generation again.
func (f *Follower) retry() {
	f.retryAt = time.Time{}
	if s := f.State(); s.Refused != nil {
		f.seen = s.InEffect
	}
}

// step loads the newest generation, and puts it into effect if it is another one. After an error, a
// retry may succeed soon.
func (f *Follower) step(ctx context.Context) error {
	g, err := f.load(ctx)
	switch {
	case err != nil:
		f.recordSilence(err)
		return err
	case g.Same(f.seen):
		f.change(func(s *State) {
			s.Err = s.RefusedBy
		})
		if !f.kept {
			f.setCurrent()
		}
		return nil
	}
	news, err := f.compare(g)
	if err == nil && news {
		err = f.config.Check(g)
	}
	switch {
	case err != nil:
		f.refuse(g, err)
		return errRefused
	case !news:
		f.seen = g
		f.recordInEffect(nil)
		return errNothingNew
	}
	return f.take(ctx, g)
}

// take puts a generation into effect.
func (f *Follower) take(ctx context.Context, g *source.Generation) error {
	if toFetch(g, f.State().InEffect) > largeFetch && !fileset.Sleep(ctx, rand.N(spread)) {
		return ctx.Err()
	}
	onDisk, err := f.config.Keep.Add(ctx, g)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, source.ErrPrivateKey):
		f.refuse(g, err)
		return errRefused
	case err != nil:
		f.change(func(s *State) { s.Err = err })
		f.config.OnEvent(Event{Kind: NotKept, Generation: g, Err: err})
		return err
	}
	otherSignatures := g.Digest() == f.State().InEffect.Digest()
	if !otherSignatures {
		retry, err := f.config.Apply(ctx, onDisk)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			f.refuse(g, err)
			f.retryAt = retry
			return errRefused
		}
	}
	f.recordInEffect(onDisk)
	f.setCurrent()
	if otherSignatures {
		return errNothingNew
	}
	f.config.OnEvent(Event{Kind: Applied, Generation: onDisk})
	f.report(true)
	return nil
}

// toFetch returns how many bytes of g are not in the generation that a node has.
func toFetch(g, have *source.Generation) (bytes int64) {
	here := map[source.Digest]bool{}
	for _, file := range have.Manifest.Files {
		here[file.SHA256] = true
	}
	for _, file := range g.Blobs() {
		if !here[file.SHA256] {
			bytes += file.Size
		}
	}
	return bytes
}

// recordInEffect records that a generation is in effect and nothing is wrong. nil: the same as before.
func (f *Follower) recordInEffect(g *source.Generation) {
	f.retryAt = time.Time{}
	f.change(func(s *State) {
		if g != nil && g.Digest() != s.InEffect.Digest() {
			s.Since = f.config.Now()
		}
		if g != nil {
			s.InEffect, f.seen = g, g
		}
		s.Err, s.Refused, s.RefusedBy = nil, nil, nil
	})
	f.config.Keep.ForgetRefused()
}

// setCurrent makes the generation in effect the one from which the node starts. A step that fails is
// tried again at the next poll.
func (f *Follower) setCurrent() {
	g := f.State().InEffect
	err := f.config.Keep.SetCurrent(g)
	f.kept = err == nil
	if err != nil {
		f.config.OnEvent(Event{Kind: NotKept, Generation: g, Err: err})
	}
}

// refuse records that a generation is not used.
func (f *Follower) refuse(g *source.Generation, err error) {
	f.seen = g
	f.retryAt = time.Time{}
	f.change(func(s *State) { s.Err, s.Refused, s.RefusedBy = err, g, err })
	r := source.Refusal{Number: g.Manifest.Number, Digest: g.Digest(), At: f.config.Now().UTC(), Errors: f.config.Lines(err)}
	f.config.OnEvent(Event{Kind: Refused, Generation: g, Err: err})
	f.config.Keep.Discard(g, f.State().InEffect)
	if err := f.config.Keep.Refuse(r); err != nil {
		f.config.OnEvent(Event{Kind: NotKept, Generation: g, Err: err})
	}
	f.report(true)
}
