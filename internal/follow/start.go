package follow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mtlsguard/mtlsguard/configerror"
	"github.com/mtlsguard/mtlsguard/source"
)

// secondChance is how long a node whose last generation cannot be loaded waits for its source, before it
// tries an older one.
const secondChance = 5 * time.Second

// Start puts the first generation into effect: the last one on disk, or else that of the source, or else
// an older one on disk. It does not use the source if the last one on disk is good. first is how long it
// waits for a source if nothing is on disk.
func (f *Follower) Start(ctx context.Context, first time.Duration) error {
	highest, err := f.config.Keep.Highest()
	if err != nil {
		return explain(notKept{err}) // fail closed: the source could go back
	}
	all, err := f.config.Keep.Generations()
	errs := []error{err} // of generations on disk
	f.least = highest
	for _, g := range all {
		if (f.last == nil || g.Manifest.Number > f.last.Manifest.Number) && f.config.Check(g) == nil {
			f.last = g
		}
	}
	for i, g := range all {
		if err := f.begin(ctx, g); err != nil {
			errs = append(errs, placed(g, err))
		} else {
			f.kept = true // the link stays where it is: a newer version may be able to load its generation
			return nil
		}
		if i == 0 {
			err := f.fromSource(ctx, min(first, secondChance))
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
	}
	if len(all) > 0 {
		return errors.Join(errs...)
	}
	err = f.fromSource(ctx, first)
	if err == nil {
		return nil
	}
	errs = append(errs, err)
	return errors.Join(errs...)
}

// begin puts a generation with its files on disk into effect, as the first one.
func (f *Follower) begin(ctx context.Context, g *source.Generation) error {
	if err := f.config.Check(g); err != nil {
		return err
	}
	if _, err := f.config.Apply(ctx, g); err != nil {
		return err
	}
	f.seen = g
	f.change(func(s *State) { s.InEffect, s.Since = g, f.config.Now() })
	return nil
}

// fromSource puts the generation of the source into effect. It waits until there is one that
// can be used, or until the time is over.
func (f *Follower) fromSource(ctx context.Context, wait time.Duration) error {
	waiting, cancel := context.WithTimeout(ctx, max(wait, time.Second))
	defer cancel()
	var pause backoff
	var before error
	for {
		err := f.firstOf(ctx, waiting)
		if err == nil {
			return nil
		}
		if before != nil && errors.Is(err, context.DeadlineExceeded) {
			err = before // the time is over: the source's own error is more precise
		}
		before = err
		if final := (*refusal)(nil); errors.As(err, &final) || errors.Is(err, source.ErrUnsupported) || !pause.wait(waiting) {
			return explain(err)
		}
	}
}

// firstOf tries the newest generation of the source.
func (f *Follower) firstOf(ctx, waiting context.Context) error {
	g, err := f.load(waiting)
	if err != nil {
		return err
	}
	if err := f.compareKept(g); err != nil {
		return &refusal{g, err}
	}
	if err := f.config.Check(g); err != nil {
		return &refusal{g, err}
	}
	unlock, err := f.Lock()
	if err != nil {
		return &refusal{g, err}
	}
	defer unlock()
	onDisk, err := f.config.Keep.Add(ctx, g) // as long as bytes come: the node has no other
	switch {
	case errors.Is(err, source.ErrPrivateKey):
		return &refusal{g, err}
	case err != nil:
		return notKept{err}
	}
	if err := f.begin(ctx, onDisk); err != nil {
		return &refusal{g, err}
	}
	f.setCurrent()
	return nil
}

// refusal is a generation that cannot be used, and why.
type refusal struct {
	g   *source.Generation
	err error
}

func (r *refusal) Error() string { return placed(r.g, r.err).Error() }
func (r *refusal) Unwrap() error { return placed(r.g, r.err) }

// notKept is why the files of a generation are not on disk.
type notKept struct{ error }

func (n notKept) Unwrap() error { return n.error }

// placed names the generation in errors that have no file.
func placed(g *source.Generation, err error) error {
	if len(configerror.All(err)) > 0 {
		return err
	}
	return &configerror.Error{What: fmt.Sprintf("generation %d cannot be used: %s", g.Manifest.Number, err)}
}

// explain returns an error: there is no generation, and why.
func explain(err error) error {
	if final := (*refusal)(nil); errors.As(err, &final) {
		return err
	}
	what := "no generation is here, and the store cannot be reached: " + err.Error()
	switch {
	case errors.Is(err, source.ErrNone):
		what = "no generation is here, and the store has none"
	case errors.As(err, new(notKept)):
		what = "no generation is here, and that of the store cannot be kept: " + err.Error()
	}
	return &configerror.Error{What: what, Hint: "mend it, or bring a generation to keep: mtlsguard-fleet seed --out FOLDER"}
}
